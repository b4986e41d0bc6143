import ApusCore

/// The two formats of token files that llm.c uses: a header of 256 32-bit numbers (magic, version, token
/// count, zeros), then the tokens. All little-endian.
package enum TokenFileFormat: Sendable, Hashable {
  /// Magic 20240520, version 1: 16-bit tokens, made for GPT-2.
  case uint16
  /// Magic 20240801, version 7: 32-bit tokens, made for Llama 3.
  case uint32

  static let headerByteCount = 1024

  var magic: Int32 { self == .uint16 ? 20_240_520 : 20_240_801 }
  var version: Int32 { self == .uint16 ? 1 : 7 }
  /// Bytes of one token.
  package var tokenByteCount: Int { self == .uint16 ? 2 : 4 }

  /// The smaller format that holds every token of a vocabulary.
  package init(vocabularySize: Int) { self = vocabularySize <= 1 << 16 ? .uint16 : .uint32 }
}

/// A token file, mapped into memory for reading.
package final class TokenFile: Sendable {
  package let path: String
  package let format: TokenFileFormat
  /// Tokens in the file.
  package let count: Int
  private let file: MappedFile
  /// Position in the file of the first token.
  private let first: Int

  /// Maps a file after checking its header, and its size against the token count.
  package init(path: String) throws(DataError) {
    self.path = path
    file = try MappedFile(path: path)
    let size = file.bytes.count
    guard size >= TokenFileFormat.headerByteCount, let base = UnsafeRawPointer(file.bytes.baseAddress) else {
      throw .tokenFile(
        path: path,
        problem: "\(size.grouped) bytes are too few for a token file, whose header alone has 1,024")
    }
    let header = (0..<3).map { Int32(littleEndian: base.load(fromByteOffset: $0 * 4, as: Int32.self)) }
    guard let format = [TokenFileFormat.uint16, .uint32].first(where: { $0.magic == header[0] }) else {
      throw .tokenFile(
        path: path, problem: "magic number \(header[0]) instead of 20240520 or 20240801; not a token file")
    }
    guard header[1] == format.version else {
      throw .tokenFile(path: path, problem: "version \(header[1]) instead of \(format.version)")
    }
    let count = Int(header[2])
    let wanted = TokenFileFormat.headerByteCount + count * format.tokenByteCount
    guard count >= 0, size == wanted else {
      let what = size < wanted ? "truncated" : "too long"
      throw .tokenFile(
        path: path,
        problem: "\(what): the header names \(count.grouped) tokens, which take \(wanted.grouped) bytes, but "
          + "the file has \(size.grouped)")
    }
    (self.format, self.count, first) = (format, count, 0)
  }

  private init(_ whole: TokenFile, _ range: Range<Int>) {
    (path, format, file) = (whole.path, whole.format, whole.file)
    (count, first) = (range.count, whole.first + range.lowerBound)
  }

  /// A part of the file, positions counted from its start; it shares the mapping.
  package func slice(_ range: Range<Int>) -> TokenFile {
    require(range.lowerBound >= 0 && range.upperBound <= count, "TokenFile: tokens \(range) of \(count)")
    return TokenFile(self, range)
  }

  private var tokens: UnsafeRawPointer {
    UnsafeRawPointer(file.bytes.baseAddress!) + TokenFileFormat.headerByteCount + first
      * format.tokenByteCount
  }

  /// The token at a position.
  package subscript(position: Int) -> Int32 {
    require(position >= 0 && position < count, "TokenFile: position \(position) of \(count) tokens")
    switch format {
    case .uint16:
      return Int32(UInt16(littleEndian: tokens.load(fromByteOffset: position * 2, as: UInt16.self)))
    case .uint32:
      return Int32(
        bitPattern: UInt32(littleEndian: tokens.load(fromByteOffset: position * 4, as: UInt32.self)))
    }
  }

  /// The token at a position; throws where a vocabulary of that size does not have it.
  package func token(_ position: Int, vocabularySize: Int) throws(DataError) -> Int32 {
    let token = self[position]
    if Int(UInt32(bitPattern: token)) >= vocabularySize {
      throw beyondVocabulary(position: position, vocabularySize: vocabularySize)
    }
    return token
  }

  /// Copies the tokens of a range, after checking that the file has it.
  package func copy(_ range: Range<Int>, to destination: UnsafeMutablePointer<Int32>) {
    require(
      range.lowerBound >= 0 && range.upperBound <= count, "TokenFile: tokens \(range) of \(count)")
    switch format {
    case .uint16:
      let source = tokens.assumingMemoryBound(to: UInt16.self) + range.lowerBound
      for index in 0..<range.count { destination[index] = Int32(UInt16(littleEndian: source[index])) }
    case .uint32:
      let source = tokens.assumingMemoryBound(to: Int32.self) + range.lowerBound
      for index in 0..<range.count { destination[index] = Int32(littleEndian: source[index]) }
    }
  }

  /// Reads all tokens and throws at the first that a vocabulary of that size does not have.
  package func checkTokens(vocabularySize: Int) throws(DataError) {
    for position in 0..<count where Int(UInt32(bitPattern: self[position])) >= vocabularySize {
      throw beyondVocabulary(position: position, vocabularySize: vocabularySize)
    }
  }

  func beyondVocabulary(position: Int, vocabularySize: Int) -> DataError {
    .tokenBeyondVocabulary(
      path: path, position: first + position, token: Int(UInt32(bitPattern: self[position])),
      vocabularySize: vocabularySize)
  }
}
