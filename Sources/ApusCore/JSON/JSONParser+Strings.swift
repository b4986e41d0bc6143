extension JSONParser {
  /// The string that starts at the current quote.
  mutating func string() throws(JSONFault) -> String {
    position += 1
    let start = position
    skipPlainBytes()
    if current == UInt8(ascii: "\"") {
      let text = try text(UnsafeRawBufferPointer(rebasing: bytes[start..<position]))
      position += 1
      return text
    }
    var unescaped = Array(bytes[start..<position])
    while position < bytes.count {
      switch current {
      case UInt8(ascii: "\""):
        let text = try text(unescaped)
        position += 1
        return text
      case UInt8(ascii: "\\"): unescaped += try escape().utf8
      case ..<0x20: throw fault("a control character inside a string")
      default:
        let start = position
        skipPlainBytes()
        unescaped += bytes[start..<position]
      }
    }
    throw fault("a string without an end")
  }

  /// Goes on to the next quote, backslash or control character, or to the end.
  private mutating func skipPlainBytes() {
    while position < bytes.count {
      let byte = bytes[position]
      if byte == UInt8(ascii: "\"") || byte == UInt8(ascii: "\\") || byte < 0x20 { return }
      position += 1
    }
  }

  private func text(_ utf8: some Sequence<UInt8>) throws(JSONFault) -> String {
    guard let text = String(validating: utf8, as: UTF8.self) else {
      throw fault("a string that is not UTF-8")
    }
    return text
  }

  /// What the escape at the current backslash stands for.
  private mutating func escape() throws(JSONFault) -> Unicode.Scalar {
    position += 1
    let kind = current
    position += 1
    switch kind {
    case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): return Unicode.Scalar(kind)
    case UInt8(ascii: "b"): return "\u{8}"
    case UInt8(ascii: "f"): return "\u{C}"
    case UInt8(ascii: "n"): return "\n"
    case UInt8(ascii: "r"): return "\r"
    case UInt8(ascii: "t"): return "\t"
    case UInt8(ascii: "u"):
      let unit = try fourHexadecimalDigits()
      if let scalar = Unicode.Scalar(unit) { return scalar }
      // A character outside the basic plane is written as a pair of surrogates, the high one first.
      guard unit < 0xDC00, current == UInt8(ascii: "\\") else { throw fault("a lone surrogate") }
      position += 1
      guard current == UInt8(ascii: "u") else { throw fault("a lone surrogate") }
      position += 1
      let low = try fourHexadecimalDigits()
      guard (0xDC00..<0xE000).contains(low),
        let scalar = Unicode.Scalar(0x10000 + (unit - 0xD800) << 10 + (low - 0xDC00))
      else { throw fault("a lone surrogate") }
      return scalar
    default:
      position -= 1
      throw fault("an unknown escape")
    }
  }

  private mutating func fourHexadecimalDigits() throws(JSONFault) -> UInt32 {
    var unit: UInt32 = 0
    for _ in 0..<4 {
      guard let digit = Character(Unicode.Scalar(current)).hexDigitValue else {
        throw fault("expected four hexadecimal digits")
      }
      unit = unit << 4 | UInt32(digit)
      position += 1
    }
    return unit
  }
}
