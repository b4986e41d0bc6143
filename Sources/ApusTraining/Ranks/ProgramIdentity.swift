import Foundation

/// Which build of the program this process runs.
enum ProgramIdentity {
  /// Version and a checksum of the executable: `0.1.0, 1c3f5a0b9d2e4f67`.
  static var text: String {
    let bytes = FileManager.default.contents(atPath: "/proc/self/exe") ?? Data()
    let checksum = bytes.withUnsafeBytes { TextChecksum.of($0) }
    return "\(RunFacts.version), \(String(checksum, radix: 16))"
  }
}

/// A checksum that tells builds and data apart; no protection against intent.
enum TextChecksum {
  /// FNV-1a over 64-bit words, and over the bytes that are left.
  static func of(_ bytes: UnsafeRawBufferPointer, from start: UInt64 = 0xcbf2_9ce4_8422_2325) -> UInt64 {
    var hash = start
    let words = bytes.count / 8
    for index in 0..<words {
      hash = (hash ^ bytes.loadUnaligned(fromByteOffset: 8 * index, as: UInt64.self)) &* 0x100_0000_01b3
    }
    for index in 8 * words..<bytes.count { hash = (hash ^ UInt64(bytes[index])) &* 0x100_0000_01b3 }
    return hash
  }
}
