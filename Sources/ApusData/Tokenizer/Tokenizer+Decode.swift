extension Tokenizer {
  /// The bytes of a list of tokens: the exact inverse of `encode`. Ids without a token give nothing.
  package func decodeBytes(_ tokens: some Sequence<Int32>, skipSpecialTokens: Bool = false) -> [UInt8] {
    var bytes: [UInt8] = []
    for token in tokens { appendBytes(of: token, skipSpecialTokens: skipSpecialTokens, to: &bytes) }
    return bytes
  }

  /// The text of a list of tokens. Bytes that are not UTF-8 become U+FFFD.
  package func decode(_ tokens: some Sequence<Int32>, skipSpecialTokens: Bool = false) -> String {
    String(decoding: decodeBytes(tokens, skipSpecialTokens: skipSpecialTokens), as: UTF8.self)
  }
}

/// Decodes token by token into pieces of valid text: a scalar whose bytes come in several tokens is held back
/// until it is whole. All pieces joined are what `Tokenizer.decode` gives for all tokens at once.
package struct StreamingDecoder {
  private let tokenizer: Tokenizer
  private let skipSpecialTokens: Bool
  private var pending: [UInt8] = []

  package init(_ tokenizer: Tokenizer, skipSpecialTokens: Bool = false) {
    (self.tokenizer, self.skipSpecialTokens) = (tokenizer, skipSpecialTokens)
  }

  /// The text that this token completes; may be empty.
  package mutating func append(_ token: Int32) -> String {
    tokenizer.appendBytes(of: token, skipSpecialTokens: skipSpecialTokens, to: &pending)
    let complete = pending.count - unfinishedCount
    defer { pending.removeFirst(complete) }
    return String(decoding: pending[0..<complete], as: UTF8.self)
  }

  /// What is left at the end: U+FFFD for the bytes of a scalar that never became whole.
  package mutating func finish() -> String {
    defer { pending.removeAll() }
    return String(decoding: pending, as: UTF8.self)
  }

  /// How many of the last bytes may be the start of a longer scalar.
  private var unfinishedCount: Int {
    for back in 1...3 where back <= pending.count {
      let byte = pending[pending.count - back]
      if byte & 0xc0 == 0x80 { continue }
      let needed = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : byte >= 0xc0 ? 2 : 1
      return needed > back ? back : 0
    }
    return 0
  }
}
