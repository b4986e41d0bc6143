import ApusCore

/// The axis of the mesh along which ranks talk.
package enum CommunicationAxis: String, Hashable, Sendable, CaseIterable {
  case tensor, context, expert, pipeline, data
}

extension CommunicationAxis {
  /// The axis of a recorded move within a micro-batch; nil of those along which gradients and states are exchanged.
  init?(_ axis: MeshAxis) {
    switch axis {
    case .tensor, .keyValueHeads, .keyValueCopies: self = .tensor
    case .context: self = .context
    case .pipeline, .tiedTable: self = .pipeline
    case .expert: self = .expert
    case .data, .dataAndContext, .shard, .replica, .expertReplica: return nil
    }
  }
}

/// One collective of a rank: kind, axis and the bytes of the whole tensor (all shards together).
package struct CollectiveCall: Hashable, Sendable {
  package var kind: CollectiveKind
  package var axis: CommunicationAxis
  package var bytes: Double
  package var count: Int

  package init(_ kind: CollectiveKind, _ axis: CommunicationAxis, bytes: Double, count: Int = 1) {
    self.kind = kind
    self.axis = axis
    self.bytes = bytes
    self.count = count
  }
}

/// Where the ranks of one group lie: how many of them share a node, and how many nodes they span.
package struct RankPlacement: Hashable, Sendable {
  package var ranks: Int
  package var ranksPerNode: Int
  package var devicesPerNode: Int

  package var nodes: Int { groups(of: ranksPerNode, in: ranks) }

  /// - Parameters:
  ///   - ranks: of the group.
  ///   - stride: distance between neighbours of the group in the numbering of ranks.
  package init(ranks: Int, stride: Int, devicesPerNode: Int) {
    self.ranks = ranks
    self.devicesPerNode = devicesPerNode
    ranksPerNode = max(1, min(ranks, devicesPerNode / max(1, stride)))
  }
}

/// Order of the mesh's axes in the numbering of ranks, innermost first.
package enum RankOrder: String, Hashable, Sendable {
  /// Tensor, context, pipeline, data (Llama 3; domain reference B6; Apus).
  case dataOutermost
  /// Tensor, context, data, pipeline (Megatron-LM, DeepSpeed, nanotron).
  case pipelineOutermost
}

extension RankOrder {
  /// Distance between neighbours along an axis.
  package func stride(of axis: CommunicationAxis, in layout: JobLayout) -> Int {
    switch (axis, self) {
    case (.tensor, _): 1
    case (.context, _): layout.tensor
    case (.expert, .pipelineOutermost), (.data, .pipelineOutermost): layout.tensor * layout.context
    case (.expert, .dataOutermost), (.data, .dataOutermost):
      layout.tensor * layout.context * layout.pipeline
    case (.pipeline, .pipelineOutermost): layout.tensor * layout.context * layout.data
    case (.pipeline, .dataOutermost): layout.tensor * layout.context
    }
  }
}
