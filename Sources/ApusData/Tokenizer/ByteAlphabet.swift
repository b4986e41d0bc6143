/// The byte-level alphabet of GPT-2: every byte has a printable scalar, so that a vocabulary of byte strings
/// can be written as text. Printable Latin-1 bytes stand for themselves, the others for U+0100 onwards.
///
/// Source: Radford et al. 2019, "Language Models are Unsupervised Multitask Learners", and its encoder.
enum ByteAlphabet {
  /// The scalar of each byte.
  static let scalars: [Unicode.Scalar] = {
    var next: UInt32 = 256
    return (UInt32(0)..<256).map { byte in
      switch byte {
      case 33...126, 161...172, 174...255: return Unicode.Scalar(byte)!
      default:
        defer { next += 1 }
        return Unicode.Scalar(next)!
      }
    }
  }()

  /// The byte of each scalar below U+0144, or -1.
  private static let bytes: [Int16] = {
    var table = [Int16](repeating: -1, count: 256 + 68)
    for (byte, scalar) in scalars.enumerated() { table[Int(scalar.value)] = Int16(byte) }
    return table
  }()

  /// The bytes in the order of their scalars: the order in which a new vocabulary numbers them.
  static let bytesByScalar: [UInt8] = (0..<256).map(UInt8.init).sorted { scalars[Int($0)] < scalars[Int($1)] }

  /// The bytes that a vocabulary entry stands for, or nil if it has a scalar outside the alphabet.
  static func bytes(of entry: String) -> [UInt8]? {
    var result: [UInt8] = []
    result.reserveCapacity(entry.utf8.count)
    for scalar in entry.unicodeScalars {
      guard scalar.value < UInt32(bytes.count), bytes[Int(scalar.value)] >= 0 else { return nil }
      result.append(UInt8(bytes[Int(scalar.value)]))
    }
    return result
  }

  /// The vocabulary entry that stands for those bytes.
  static func entry(of bytes: some Sequence<UInt8>) -> String {
    var entry = String.UnicodeScalarView()
    for byte in bytes { entry.append(scalars[Int(byte)]) }
    return String(entry)
  }
}
