/// How one number of a tensor is stored.
package enum ElementType: String, Sendable, Hashable, Codable, CaseIterable {
  case float32, float64, bfloat16, float16, int32, uint8

  /// As configurations and reports name it: `bf16`.
  package var shortName: String {
    switch self {
    case .float32: "fp32"
    case .float64: "fp64"
    case .bfloat16: "bf16"
    case .float16: "fp16"
    case .int32: "int32"
    case .uint8: "uint8"
    }
  }

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
