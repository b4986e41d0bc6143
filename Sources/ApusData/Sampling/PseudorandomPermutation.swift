/// A pseudo-random permutation of 0..<count that needs no memory: a Feistel network over the next power of
/// four, walked until it falls inside.
///
/// Source: Black and Rogaway 2002, "Ciphers with Arbitrary Finite Domains", sections 4 and 5.
package struct PseudorandomPermutation: Sendable {
  private let count: UInt64
  private let halfBits: UInt64
  private let keys: [UInt64]

  package init(count: Int, key: UInt64) {
    self.count = UInt64(count)
    let bits = 64 - UInt64(max(1, count - 1)).leadingZeroBitCount
    halfBits = UInt64((bits + 1) / 2)
    keys = (0..<6).map { mix(key &+ UInt64($0) &* 0x9e37_79b9_7f4a_7c15) }
  }

  /// Where an index goes.
  package subscript(index: Int) -> Int {
    guard count > 1 else { return 0 }
    let mask: UInt64 = 1 << halfBits - 1
    var value = UInt64(index)
    repeat {
      var (left, right) = (value >> halfBits, value & mask)
      for key in keys { (left, right) = (right, left ^ (mix(right ^ key) & mask)) }
      value = left << halfBits | right
    } while value >= count
    return Int(value)
  }
}

/// Spreads the bits of a number (the last step of SplitMix64: Steele, Lea, Flood 2014).
func mix(_ value: UInt64) -> UInt64 {
  var x = value &+ 0x9e37_79b9_7f4a_7c15
  x = (x ^ x >> 30) &* 0xbf58_476d_1ce4_e5b9
  x = (x ^ x >> 27) &* 0x94d0_49bb_1331_11eb
  return x ^ x >> 31
}
