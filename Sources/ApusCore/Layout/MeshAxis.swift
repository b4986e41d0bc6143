/// A direction of the mesh of ranks: the ranks that differ only in it form a group.
package enum MeshAxis: String, Hashable, Sendable, Codable, CaseIterable {
  case tensor, context, pipeline, data
  /// Parts of the tensor axis where it has more ranks than key-value heads: `keyValueCopies` neighbours hold
  /// copies of one head, `keyValueHeads` counts the different ones.
  case keyValueHeads = "key-value heads"
  case keyValueCopies = "key-value copies"
  /// All ranks that hold the same parameters and see other tokens: over them gradients are summed.
  case dataAndContext = "data and context"
  /// Parts of `dataAndContext`: `shard` neighbours divide one copy of what is sharded, `replica` counts the
  /// copies.
  case shard, replica
  /// Parts of the data axis, and of context: `expert` neighbours divide the experts of a mixture, `expertReplica` counts
  /// the ranks that hold the same ones. Both of one rank where the experts are not divided.
  case expert
  case expertReplica = "expert replica"
  /// The first and the last device of a pipeline, which both hold a tied token table.
  case tiedTable = "tied table"
}

/// A stretch of elements that belongs to a rank: `coordinate * count ..< (coordinate + 1) * count`, with the
/// rank's coordinate on `axis`. Programs hold no rank; the coordinate is put in when a plan is bound.
package struct ShardSlice: Hashable, Sendable {
  package var axis: MeshAxis
  package var count: Int

  package init(axis: MeshAxis, count: Int) {
    self.axis = axis
    self.count = count
  }

  /// The stretch of a rank.
  package func range(at position: MeshPosition) -> Range<Int> {
    let start = position.coordinate(on: axis) * count
    return start..<start + count
  }
}
