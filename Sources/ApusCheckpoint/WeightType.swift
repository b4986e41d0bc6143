/// How the weights of an exported folder are stored.
package enum WeightType: String, CaseIterable, Sendable {
  case float32 = "fp32"
  case bfloat16 = "bf16"

  /// The name in a safetensors header.
  var stored: SafetensorsType {
    switch self {
    case .float32: .float32
    case .bfloat16: .bfloat16
    }
  }

  /// The name in `config.json`.
  var torchName: String {
    switch self {
    case .float32: "float32"
    case .bfloat16: "bfloat16"
    }
  }

  /// Rounds numbers in place, to nearest even, and gives the bytes to store, which lie at the start of `numbers`.
  func round(_ numbers: UnsafeMutableBufferPointer<Float>) -> UnsafeRawBufferPointer {
    let bytes = UnsafeMutableRawBufferPointer(numbers)
    guard self == .bfloat16 else { return UnsafeRawBufferPointer(bytes) }
    // A number is read before its half is written, which lies on numbers that have been read.
    for index in 0..<numbers.count {
      let half = bfloat16Bits(of: bytes.loadUnaligned(fromByteOffset: 4 * index, as: Float.self))
      bytes.storeBytes(of: half, toByteOffset: 2 * index, as: UInt16.self)
    }
    return UnsafeRawBufferPointer(rebasing: bytes[..<(2 * numbers.count)])
  }
}
