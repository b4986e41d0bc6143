/// A binary floating-point format of at most 16 bits: a sign, exponent bits, fraction bits.
///
/// Encoding rounds to nearest, ties to even, from the exact value, subnormal results included. The formats
/// are those of training: bfloat16 and binary16 (IEEE 754), and OCP 8-bit E4M3 and E5M2 (Micikevicius et al.
/// 2022, "FP8 Formats for Deep Learning").
package struct FloatFormat: Sendable, Hashable {
  package var name: String
  package var exponentBits: Int
  package var fractionBits: Int
  /// Whether the largest exponent holds infinities and NaNs, as in IEEE 754. Without, only the largest
  /// pattern of each sign is a NaN, there is no infinity, and the rest are numbers ("finite", "fn").
  package var hasInfinity: Bool

  package static let bfloat16 = FloatFormat(
    name: "bf16", exponentBits: 8, fractionBits: 7, hasInfinity: true)
  package static let float16 = FloatFormat(
    name: "fp16", exponentBits: 5, fractionBits: 10, hasInfinity: true)
  package static let e4m3fn = FloatFormat(
    name: "e4m3fn", exponentBits: 4, fractionBits: 3, hasInfinity: false)
  package static let e5m2 = FloatFormat(name: "e5m2", exponentBits: 5, fractionBits: 2, hasInfinity: true)

  package var bitWidth: Int { 1 + exponentBits + fractionBits }
  package var patternCount: Int { 1 << bitWidth }
  var exponentMask: Int { (1 << exponentBits) - 1 }
  var fractionMask: Int { (1 << fractionBits) - 1 }
  var bias: Int { exponentMask >> 1 }

  /// The distance from 1 to the next number: 2^-7, 2^-10, 2^-3, 2^-2.
  package var epsilon: Double { Double(sign: .plus, exponent: -fractionBits, significand: 1) }

  /// The largest finite number: 448 for e4m3fn, 57,344 for e5m2, 65,504 for fp16.
  package var largest: Double {
    let top = hasInfinity ? exponentMask - 1 : exponentMask
    let fraction = hasInfinity ? fractionMask : fractionMask - 1
    return Double(sign: .plus, exponent: top - bias, significand: 1 + Double(fraction) * epsilon)
  }

  /// The smallest number above 0.
  package var smallest: Double { Double(sign: .plus, exponent: 1 - bias - fractionBits, significand: 1) }

  /// The value of a bit pattern. Exact.
  package func decode(_ bits: Int) -> Double {
    let exponent = bits >> fractionBits & exponentMask
    let fraction = bits & fractionMask
    let sign: FloatingPointSign = bits >> (bitWidth - 1) & 1 == 0 ? .plus : .minus
    if exponent == exponentMask {
      if hasInfinity {
        return fraction == 0 ? Double(sign: sign, exponent: 0, significand: .infinity) : .nan
      }
      if fraction == fractionMask { return .nan }
    }
    let magnitude =
      exponent == 0
      ? Double(fraction) * smallest
      : Double(sign: .plus, exponent: exponent - bias, significand: 1 + Double(fraction) * epsilon)
    return sign == .plus ? magnitude : -magnitude
  }

  /// The pattern nearest to `x`; ties go to the even fraction.
  ///
  /// A magnitude that rounds beyond `largest` becomes infinite, or NaN where the format has no infinity. With
  /// `saturating` it becomes the largest finite number instead, infinities included (the saturating
  /// conversion of the OCP 8-bit specification); a NaN stays NaN either way.
  package func encode(_ x: Double, saturating: Bool = false) -> Int {
    let signBit = x.sign == .minus ? 1 << (bitWidth - 1) : 0
    let infinity = exponentMask << fractionBits
    let notANumber = hasInfinity ? infinity | 1 << (fractionBits - 1) : infinity | fractionMask
    if x.isNaN { return signBit | notANumber }
    let magnitude = x.magnitude
    if magnitude == 0 { return signBit }
    let exponent = magnitude.isInfinite ? exponentMask : max(Int(magnitude.exponent), 1 - bias)
    let unit = Double(sign: .plus, exponent: exponent - fractionBits, significand: 1)
    let rounded = magnitude.isInfinite ? magnitude : (magnitude / unit).rounded(.toNearestOrEven) * unit
    if rounded > largest {
      if saturating { return signBit | (hasInfinity ? infinity : infinity | fractionMask) - 1 }
      return signBit | (hasInfinity ? infinity : notANumber)
    }
    // Rounding may have reached the next power of two; below 1 - bias the pattern is the fraction alone.
    if rounded < Double(fractionMask + 1) * smallest { return signBit | Int(rounded / smallest) }
    let place = Int(rounded.exponent)
    let fraction = Int((rounded / Double(sign: .plus, exponent: place, significand: 1) - 1) / epsilon)
    return signBit | (place + bias) << fractionBits | fraction
  }

  /// `x` as the format keeps it.
  package func rounded(_ x: Double, saturating: Bool = false) -> Double {
    decode(encode(x, saturating: saturating))
  }
}
