/// How one number of a tensor is stored.
package enum ElementType: String, Sendable, Hashable, Codable, CaseIterable {
  case float32, float64, bfloat16, float16, int32, uint8

  /// Whether it is one of the two short floating-point types, whose sums are taken in float32.
  package var isHalf: Bool { self == .bfloat16 || self == .float16 }

  /// Bytes of one element.
  package var byteCount: Int {
    switch self {
    case .float64: 8
    case .float32, .int32: 4
    case .bfloat16, .float16: 2
    case .uint8: 1
    }
  }
}
