import ApusCore

extension ElementType {
  /// `value` rounded to the nearest number of this type, ties to even; beyond the largest, infinity. Types of
  /// 32 and more bits leave it as it is. A `Double` is rounded once.
  package func rounded<Scalar: BinaryFloatingPoint>(_ value: Scalar) -> Scalar {
    switch self {
    case .bfloat16: Scalar(FloatFormat.bfloat16.rounded(Double(value)))
    case .float16: Scalar(FloatFormat.float16.rounded(Double(value)))
    case .float32, .float64, .int32, .uint8: value
    }
  }

  /// Rounds `count` numbers in place.
  package func round<Scalar: BinaryFloatingPoint>(_ values: UnsafeMutablePointer<Scalar>, _ count: Int) {
    guard isHalf else { return }
    for index in 0..<count { values[index] = rounded(values[index]) }
  }
}
