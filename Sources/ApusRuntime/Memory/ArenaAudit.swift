import ApusCore
import Foundation

/// Measures from outside the plan which bytes of an arena a run really touched: the whole mapping, guard
/// bytes included, is filled with a pattern first and searched for it later.
extension Arena {
  /// A signalling pattern: as float32 a NaN, as int32 far beyond any token id.
  static let poison: UInt32 = 0x7FAB_CDEF

  /// Fills the mapping with the pattern. Content is lost.
  package borrowing func fillWithPoison() {
    let words = base.assumingMemoryBound(to: UInt32.self)
    words.update(repeating: Self.poison, count: (byteCount + Self.guardByteCount) / 4)
  }

  /// Fills the end of the plan and the guard behind it with the pattern, so that `highWater` can tell later how far
  /// the plan was used. For a content that is not there yet.
  package borrowing func markEnd() {
    let words = base.assumingMemoryBound(to: UInt32.self)
    let (first, end) = (max(0, byteCount - Self.guardByteCount) / 4, (byteCount + Self.guardByteCount) / 4)
    (words + first).update(repeating: Self.poison, count: end - first)
  }

  /// End of the last byte that no longer holds the pattern, counted from the base, rounded up to a word.
  package borrowing func highWater() -> Int {
    let words = base.assumingMemoryBound(to: UInt32.self)
    var count = (byteCount + Self.guardByteCount) / 4
    while count > 0, words[count - 1] == Self.poison { count -= 1 }
    return count * 4
  }
}

/// An instruction wrote outside the slots of its outputs and its workspace.
package struct SlotViolation: Error, CustomStringConvertible {
  package var instruction: String
  package var byteRange: Range<Int>

  package var description: String {
    "\(instruction) wrote between bytes \(byteRange.lowerBound) and \(byteRange.upperBound) of the arena, "
      + "outside its outputs and workspace"
  }
}
