/// A token that is found in the raw text before anything else, such as `<|endoftext|>`.
package struct AddedToken: Hashable, Sendable {
  package var id: Int32
  package var content: String
  /// Special tokens are control marks; decoding can leave them out.
  package var isSpecial: Bool
  /// Takes the white space on its left, or right, with it.
  package var stripsLeft, stripsRight: Bool
  /// Only found where no word character touches it.
  package var isSingleWord: Bool
  /// Searched after normalisation: here, after the tokens that are not.
  package var isNormalized: Bool

  package init(
    id: Int32, content: String, isSpecial: Bool = true, stripsLeft: Bool = false, stripsRight: Bool = false,
    isSingleWord: Bool = false, isNormalized: Bool = false
  ) {
    (self.id, self.content, self.isSpecial) = (id, content, isSpecial)
    (self.stripsLeft, self.stripsRight) = (stripsLeft, stripsRight)
    (self.isSingleWord, self.isNormalized) = (isSingleWord, isNormalized)
  }
}

/// Finds added tokens in a text: the leftmost, of equal places the longest, as `tokenizers` does.
struct AddedTokenSearch: Sendable {
  private struct Entry {
    var bytes: [UInt8]
    var token: AddedToken
  }

  private var entries: [Entry] = []  // longest first
  private var startsToken = [Bool](repeating: false, count: 256)
  private var byTwoBytes: [UInt16: [Int]] = [:]

  init(_ tokens: [AddedToken]) {
    entries = tokens.map { Entry(bytes: Array($0.content.utf8), token: $0) }.filter { !$0.bytes.isEmpty }
    entries.sort { $0.bytes.count > $1.bytes.count }
    for (index, entry) in entries.enumerated() {
      startsToken[Int(entry.bytes[0])] = true
      byTwoBytes[Self.key(entry.bytes[0], entry.bytes.count > 1 ? entry.bytes[1] : nil), default: []].append(
        index)
    }
  }

  var isEmpty: Bool { entries.isEmpty }

  private static func key(_ first: UInt8, _ second: UInt8?) -> UInt16 {
    // 0xff never starts a UTF-8 scalar or continues one, so it can stand for "no second byte".
    UInt16(first) << 8 | UInt16(second ?? 0xff)
  }

  /// Splits a text: `body` gets each stretch with the token that stands there, or nil for text between.
  func split(_ bytes: UnsafeBufferPointer<UInt8>, _ body: (Range<Int>, Int32?) -> Void) {
    guard !isEmpty else { return body(0..<bytes.count, nil) }
    var (textStart, position) = (0, 0)
    while let (start, entry) = find(bytes, from: position) {
      var (lower, upper) = (start, start + entry.bytes.count)
      position = upper
      if entry.token.isSingleWord, touchesWord(bytes, lower, upper) { continue }
      if entry.token.stripsLeft { lower = max(textStart, spaceStart(bytes, before: lower)) }
      if entry.token.stripsRight { upper = spaceEnd(bytes, from: upper) }
      if textStart < lower { body(textStart..<lower, nil) }
      body(min(lower, upper)..<upper, entry.token.id)
      textStart = upper
    }
    if textStart < bytes.count { body(textStart..<bytes.count, nil) }
  }

  private func find(_ bytes: UnsafeBufferPointer<UInt8>, from start: Int) -> (Int, Entry)? {
    let position = startsToken.withUnsafeBufferPointer { starts -> Int in
      var position = start
      while position < bytes.count {
        if starts[Int(bytes[position])], match(bytes, at: position) != nil { return position }
        position += 1
      }
      return position
    }
    guard position < bytes.count, let index = match(bytes, at: position) else { return nil }
    return (position, entries[index])
  }

  private func match(_ bytes: UnsafeBufferPointer<UInt8>, at position: Int) -> Int? {
    if position + 1 < bytes.count,
      let candidates = byTwoBytes[Self.key(bytes[position], bytes[position + 1])]
    {
      for index in candidates {
        let wanted = entries[index].bytes
        guard position + wanted.count <= bytes.count else { continue }
        if wanted.indices.allSatisfy({ bytes[position + $0] == wanted[$0] }) { return index }
      }
    }
    return byTwoBytes[Self.key(bytes[position], nil)]?.first
  }

  private func touchesWord(_ bytes: UnsafeBufferPointer<UInt8>, _ lower: Int, _ upper: Int) -> Bool {
    if lower > 0, let scalar = scalarEnding(bytes, at: lower), ScalarClass.isWord(scalar.value) {
      return true
    }
    guard upper < bytes.count else { return false }
    let next = decodeScalar(bytes.baseAddress!, at: upper, end: bytes.count).value
    return Unicode.Scalar(next).map(ScalarClass.isWord) ?? false
  }

  private func spaceStart(_ bytes: UnsafeBufferPointer<UInt8>, before end: Int) -> Int {
    var position = end
    while position > 0, let scalar = scalarEnding(bytes, at: position), scalar.value.properties.isWhitespace {
      position -= scalar.count
    }
    return position
  }

  private func spaceEnd(_ bytes: UnsafeBufferPointer<UInt8>, from start: Int) -> Int {
    var position = start
    while position < bytes.count {
      let (value, count) = decodeScalar(bytes.baseAddress!, at: position, end: bytes.count)
      guard let scalar = Unicode.Scalar(value), scalar.properties.isWhitespace else { break }
      position += count
    }
    return position
  }

  private func scalarEnding(_ bytes: UnsafeBufferPointer<UInt8>, at end: Int) -> (
    value: Unicode.Scalar, count: Int
  )? {
    for count in 1...4 where end - count >= 0 && bytes[end - count] & 0xc0 != 0x80 {
      let (value, found) = decodeScalar(bytes.baseAddress!, at: end - count, end: end)
      return found == count ? Unicode.Scalar(value).map { ($0, count) } : nil
    }
    return nil
  }
}
