/// The ranks of a layout as a grid. Ranks are numbered with the axes innermost first: tensor, context,
/// pipeline, data (domain reference B6).
package struct Mesh: Hashable, Sendable {
  package let layout: ParallelLayout
  /// Ranks of the tensor axis that hold copies of the same key-value head; 1 where there are enough heads.
  package let keyValueCopies: Int

  package init(_ layout: ParallelLayout = ParallelLayout(), keyValueCopies: Int = 1) {
    self.layout = layout
    self.keyValueCopies = keyValueCopies
    require(
      layout.tensor.isMultiple(of: keyValueCopies),
      "mesh: \(keyValueCopies) copies of key-value heads on \(layout.tensor) tensor ranks")
    require(
      (layout.data * layout.context).isMultiple(of: layout.shardDegree ?? 1),
      "mesh: shards of \(layout.shardDegree ?? 1) ranks among \(layout.data * layout.context)")
    require(
      layout.data.isMultiple(of: layout.expert) && (layout.expert == 1 || layout.shardDegree == nil),
      "mesh: experts over \(layout.expert) of \(layout.data) data ranks, shards in groups")
  }

  /// The mesh of one rank.
  package static let single = Mesh()

  /// The axis over which parameters' gradients are summed.
  package var gradientAxis: MeshAxis { layout.context > 1 ? .dataAndContext : .data }

  /// The number of ranks along an axis.
  package func degree(of axis: MeshAxis) -> Int {
    switch axis {
    case .tensor: layout.tensor
    case .context: layout.context
    case .pipeline: layout.pipeline
    case .data: layout.data
    case .keyValueHeads: layout.tensor / keyValueCopies
    case .keyValueCopies: keyValueCopies
    case .dataAndContext: layout.data * layout.context
    case .shard: layout.zeroStage == 0 ? 1 : layout.shardDegree ?? layout.data * layout.context
    case .replica: layout.data * layout.context / degree(of: .shard)
    case .expert: layout.expert
    case .expertReplica: layout.expert == 1 ? 1 : layout.data / layout.expert * layout.context
    case .tiedTable: min(2, layout.pipeline)
    }
  }

  /// A rank's place along an axis.
  package func coordinate(of rank: Int, on axis: MeshAxis) -> Int {
    let (tensor, context) = (rank % layout.tensor, rank / layout.tensor % layout.context)
    let outer = rank / (layout.tensor * layout.context)
    let (pipeline, data) = (outer % layout.pipeline, outer / layout.pipeline)
    switch axis {
    case .tensor: return tensor
    case .context: return context
    case .pipeline: return pipeline
    case .data: return data
    case .keyValueHeads: return tensor / keyValueCopies
    case .keyValueCopies: return tensor % keyValueCopies
    case .dataAndContext: return data * layout.context + context
    case .shard: return (data * layout.context + context) % degree(of: .shard)
    case .replica: return (data * layout.context + context) / degree(of: .shard)
    case .expert: return data % layout.expert
    case .expertReplica:
      return layout.expert == 1 ? 0 : data / layout.expert * layout.context + context
    case .tiedTable: return pipeline > 0 && pipeline == layout.pipeline - 1 ? 1 : 0
    }
  }

  /// The ranks that differ from `rank` only along `axis`, in order of their coordinate. A device in the middle of
  /// a pipeline is alone along `tiedTable`.
  package func group(of rank: Int, along axis: MeshAxis) -> [Int] {
    let others = independent(of: axis)
    return (0..<layout.worldSize).filter { other in
      others.allSatisfy { coordinate(of: other, on: $0) == coordinate(of: rank, on: $0) }
        && (axis != .tiedTable || other == rank || isAtAnEnd(other) && isAtAnEnd(rank))
    }
  }

  /// Whether a rank is on the first or the last device of its pipeline.
  private func isAtAnEnd(_ rank: Int) -> Bool {
    [0, layout.pipeline - 1].contains(coordinate(of: rank, on: .pipeline))
  }

  /// Axes that together with `axis` fix a rank.
  private func independent(of axis: MeshAxis) -> [MeshAxis] {
    switch axis {
    case .tensor: [.context, .pipeline, .data]
    case .context: [.tensor, .pipeline, .data]
    case .pipeline: [.tensor, .context, .data]
    case .data: [.tensor, .context, .pipeline]
    case .keyValueHeads: [.keyValueCopies, .context, .pipeline, .data]
    case .keyValueCopies: [.keyValueHeads, .context, .pipeline, .data]
    case .dataAndContext: [.tensor, .pipeline]
    case .shard: [.tensor, .pipeline, .replica]
    case .replica: [.tensor, .pipeline, .shard]
    case .expert:
      layout.expert == 1 ? [.tensor, .context, .pipeline, .data] : [.tensor, .pipeline, .expertReplica]
    case .expertReplica:
      layout.expert == 1 ? [.tensor, .context, .pipeline, .data] : [.tensor, .pipeline, .expert]
    case .tiedTable: [.tensor, .context, .data]
    }
  }
}

/// One rank of a mesh.
package struct MeshPosition: Hashable, Sendable {
  package let mesh: Mesh
  package let rank: Int

  package init(_ mesh: Mesh, rank: Int) {
    self.mesh = mesh
    self.rank = rank
    require((0..<mesh.layout.worldSize).contains(rank), "rank \(rank) of \(mesh.layout.worldSize)")
  }

  /// The only rank of a mesh of one.
  package static let single = MeshPosition(.single, rank: 0)

  package func coordinate(on axis: MeshAxis) -> Int { mesh.coordinate(of: rank, on: axis) }

  package func group(along axis: MeshAxis) -> [Int] { mesh.group(of: rank, along: axis) }
}
