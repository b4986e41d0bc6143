import Foundation

/// Philox 4x32 with 10 rounds: four random words from a 128-bit counter and a 64-bit key.
///
/// Source: Salmon et al. 2011, "Parallel Random Numbers: As Easy as 1, 2, 3".
package func philox4x32(counter: SIMD4<UInt32>, key: SIMD2<UInt32>) -> SIMD4<UInt32> {
  var c = counter
  var k = key
  for _ in 0..<10 {
    let a = UInt64(c[0]) * 0xD251_1F53
    let b = UInt64(c[2]) * 0xCD9E_8D57
    c = SIMD4(
      UInt32(b >> 32) ^ c[1] ^ k[0], UInt32(truncatingIfNeeded: b),
      UInt32(a >> 32) ^ c[3] ^ k[1], UInt32(truncatingIfNeeded: a))
    k = SIMD2(k[0] &+ 0x9E37_79B9, k[1] &+ 0xBB67_AE85)
  }
  return c
}

extension Reference {
  /// out[i] is normal with the given mean and deviation, drawn at counter `first + i` of stream `key`
  /// (Box-Muller in Double from two 53-bit uniform numbers, rounded once).
  package static func philoxNormal(
    _ out: Output, _ n: Int, _ key: UInt64, _ first: UInt64, _ mean: Scalar, _ deviation: Scalar
  ) {
    for i in 0..<n {
      let at = first &+ UInt64(i)
      let words = philox4x32(
        counter: SIMD4(UInt32(truncatingIfNeeded: at), UInt32(at >> 32), 0, 0),
        key: SIMD2(UInt32(truncatingIfNeeded: key), UInt32(key >> 32)))
      let radiusBits = (UInt64(words[1]) << 32 | UInt64(words[0])) >> 11
      let angleBits = (UInt64(words[3]) << 32 | UInt64(words[2])) >> 11
      let radius = sqrt(-2 * log(Double(radiusBits + 1) * 0x1p-53))
      let normal = radius * cos(2 * Double.pi * (Double(angleBits) * 0x1p-53))
      out[i] = Scalar(Double(mean) + Double(deviation) * normal)
    }
  }
}
