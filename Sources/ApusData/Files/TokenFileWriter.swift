import ApusCore

/// Writes a token file: aside first, and under its name when `finish` is called.
package struct TokenFileWriter: ~Copyable {
  private let path: String
  private let format: TokenFileFormat
  private var file: AsideFile
  private var pending: [UInt8] = []
  /// Tokens written so far.
  package private(set) var count = 0

  private static let bufferByteCount = 1 << 20

  package init(path: String, format: TokenFileFormat) throws(DataError) {
    (self.path, self.format) = (path, format)
    file = try AsideFile(path)
    pending = [UInt8](repeating: 0, count: TokenFileFormat.headerByteCount)
  }

  /// Appends tokens, which must fit the format.
  package mutating func append(_ tokens: some Collection<Int32>) throws(DataError) {
    let largest = format == .uint16 ? Int32(UInt16.max) : Int32.max
    for token in tokens {
      require(token >= 0 && token <= largest, "TokenFileWriter: token \(token) in a file of \(format)")
      for byte in 0..<format.tokenByteCount {
        pending.append(UInt8(truncatingIfNeeded: token >> Int32(byte * 8)))
      }
      if pending.count >= Self.bufferByteCount { try flush() }
    }
    count += tokens.count
    guard count <= Int(Int32.max) else {
      throw .tokenFile(
        path: path,
        problem:
          "more than \(Int(Int32.max).grouped) tokens, which the header cannot count; use several files")
    }
  }

  private mutating func flush() throws(DataError) {
    try file.write(pending)
    pending.removeAll(keepingCapacity: true)
  }

  /// Writes the header and moves the file to its place.
  package consuming func finish() throws(DataError) {
    try flush()
    try file.seek(to: 0)
    let header = [format.magic, format.version, Int32(count)]
    try file.write(header.flatMap { number in (0..<4).map { UInt8(truncatingIfNeeded: number >> ($0 * 8)) } })
    try file.finish()
  }
}
