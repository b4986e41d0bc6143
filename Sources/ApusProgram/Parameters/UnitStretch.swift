import ApusCore

/// A stretch of a unit's elements, of which a rank holds what lies in its shard.
package struct UnitStretch: Hashable, Sendable {
  package var offset: Int
  package var count: Int
  /// The part of the unit that a rank holds; nil where it holds all of it.
  package var shard: ShardSlice?

  package init(offset: Int, count: Int, shard: ShardSlice? = nil) {
    self.offset = offset
    self.count = count
    self.shard = shard
  }

  /// The elements of the rank's shard (counted from its start) that belong to the stretch.
  package func range(at position: MeshPosition) -> Range<Int> {
    guard let shard else { return offset..<offset + count }
    let own = shard.range(at: position)
    let shared = (offset..<offset + count).clamped(to: own)
    return shared.lowerBound - own.lowerBound..<shared.upperBound - own.lowerBound
  }
}

/// Elements of a unit that the ranks of the tensor axis hold alike.
package struct ParameterStretch: Hashable, Sendable {
  package var offset: Int
  package var count: Int
  /// Ranks of the tensor and pipeline axes that hold the same numbers.
  package var copies: Int
  /// The axis over which the ranks' gradients are terms of a sum; nil where each rank's is complete.
  package var summedOver: MeshAxis?
  /// Whether the first and the last device of the pipeline hold it, each with a term of its gradient.
  package var isTied = false
}
