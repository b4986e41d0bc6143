import ApusCore

extension ElementType {
  /// `value` rounded to the nearest number of this type, ties to even; beyond the largest, infinity. Types of
  /// 32 and more bits leave it as it is.
  ///
  /// Exact also for a `Double`, which is rounded once: the distance between neighbours of the type is a power
  /// of two, so dividing by it and multiplying are exact.
  package func rounded<Scalar: BinaryFloatingPoint>(_ value: Scalar) -> Scalar {
    let (fractionBits, smallestExponent, largest): (Int, Int, Double)
    switch self {
    case .bfloat16: (fractionBits, smallestExponent, largest) = (7, -126, 0x1.FEp127)
    case .float16: (fractionBits, smallestExponent, largest) = (10, -14, 65504)
    case .float32, .float64, .int32, .uint8: return value
    }
    let wide = Double(value)
    guard wide.isFinite, wide != 0 else { return value }
    let exponent = max(Int(wide.exponent), smallestExponent) - fractionBits
    let unit = Double(sign: .plus, exponent: exponent, significand: 1)
    let rounded = (wide / unit).rounded(.toNearestOrEven) * unit
    return Scalar(rounded.magnitude > largest ? (wide < 0 ? -Double.infinity : .infinity) : rounded)
  }

  /// Rounds `count` numbers in place.
  package func round<Scalar: BinaryFloatingPoint>(_ values: UnsafeMutablePointer<Scalar>, _ count: Int) {
    guard isHalf else { return }
    for index in 0..<count { values[index] = rounded(values[index]) }
  }
}
