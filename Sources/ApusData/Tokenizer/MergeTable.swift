/// Two tokens that become one; the position in the list of merges is the rank, the lowest first.
package struct Merge: Hashable, Sendable {
  package var left, right: Int32

  package init(_ left: Int32, _ right: Int32) { (self.left, self.right) = (left, right) }

  var key: UInt64 { UInt64(UInt32(bitPattern: left)) << 32 | UInt64(UInt32(bitPattern: right)) }
}

/// The merges of a tokenizer by pair: an open-addressing table of (rank, merged token), never changed after
/// it was built.
///
/// Safe to share between threads because nothing writes after `init`.
package final class MergeTable: @unchecked Sendable {
  struct Slot {
    var key: UInt64
    var rank: Int32
    var token: Int32
  }

  static let noRank = Int32.max

  private let slots: UnsafeMutablePointer<Slot>
  private let mask: Int
  private let shift: UInt64

  /// `merged[i]` is the token that `merges[i]` makes. A pair that stands twice takes its last rank.
  init(_ merges: [Merge], merged: [Int32]) {
    var bits = 4
    while 1 << bits < merges.count * 2 { bits += 1 }
    mask = 1 << bits - 1
    shift = UInt64(64 - bits)
    slots = .allocate(capacity: mask + 1)
    slots.initialize(repeating: Slot(key: .max, rank: Self.noRank, token: -1), count: mask + 1)
    for (rank, merge) in merges.enumerated() {
      var index = home(merge.key)
      while slots[index].key != .max, slots[index].key != merge.key { index = (index + 1) & mask }
      slots[index] = Slot(key: merge.key, rank: Int32(rank), token: merged[rank])
    }
  }

  deinit { slots.deallocate() }

  @inline(__always)
  private func home(_ key: UInt64) -> Int {
    Int(truncatingIfNeeded: ((key ^ key >> 29) &* 0x9e37_79b9_7f4a_7c15) >> shift)
  }

  /// Rank and merged token of a pair; rank `noRank` if the pair does not merge.
  @inline(__always)
  func lookup(_ left: Int32, _ right: Int32) -> (rank: Int32, token: Int32) {
    let key = Merge(left, right).key
    var index = home(key)
    while slots[index].key != key {
      if slots[index].key == .max { return (Self.noRank, -1) }
      index = (index + 1) & mask
    }
    return (slots[index].rank, slots[index].token)
  }
}
