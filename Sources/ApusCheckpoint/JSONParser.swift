/// Why a text is not JSON, and where.
struct JSONFault: Error {
  var problem: String
  var offset: Int
  /// The key, if the problem is that an object has it twice.
  var duplicateKey: String? = nil
}

/// A strict JSON parser (RFC 8259) over bytes; unlike Foundation's it refuses an object that has a key twice.
///
/// Nesting is limited so that no input overflows the stack.
struct JSONParser {
  private let bytes: UnsafeRawBufferPointer
  private var position = 0
  private static let deepestNesting = 64

  /// The value that `bytes` hold; nothing but white space may follow it.
  static func parse(_ bytes: UnsafeRawBufferPointer) throws(JSONFault) -> JSONValue {
    var parser = JSONParser(bytes: bytes)
    let value = try parser.value(depth: 0)
    parser.skipWhiteSpace()
    guard parser.position == bytes.count else { throw parser.fault("more text after the end of the value") }
    return value
  }

  private init(bytes: UnsafeRawBufferPointer) { self.bytes = bytes }

  private func fault(_ problem: String) -> JSONFault { JSONFault(problem: problem, offset: position) }

  private var current: UInt8? { position < bytes.count ? bytes[position] : nil }

  private mutating func skipWhiteSpace() {
    while let byte = current, byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 { position += 1 }
  }

  private mutating func value(depth: Int) throws(JSONFault) -> JSONValue {
    guard depth < JSONParser.deepestNesting else { throw fault("too deep nesting") }
    skipWhiteSpace()
    guard let byte = current else { throw fault("unexpected end") }
    switch byte {
    case UInt8(ascii: "{"): return try object(depth: depth)
    case UInt8(ascii: "["): return try array(depth: depth)
    case UInt8(ascii: "\""): return .string(try string())
    case UInt8(ascii: "t"): return try word("true", .bool(true))
    case UInt8(ascii: "f"): return try word("false", .bool(false))
    case UInt8(ascii: "n"): return try word("null", .null)
    case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"): return try number()
    default: throw fault("unexpected byte \(byte)")
    }
  }

  private mutating func word(_ text: StaticString, _ value: JSONValue) throws(JSONFault) -> JSONValue {
    for i in 0..<text.utf8CodeUnitCount {
      guard current == text.utf8Start[i] else { throw fault("unknown word") }
      position += 1
    }
    return value
  }

  private mutating func object(depth: Int) throws(JSONFault) -> JSONValue {
    position += 1
    var members: [JSONMember] = []
    var keys: Set<String> = []
    skipWhiteSpace()
    if current == UInt8(ascii: "}") {
      position += 1
      return .object([])
    }
    while true {
      skipWhiteSpace()
      guard current == UInt8(ascii: "\"") else { throw fault("expected a key") }
      let key = try string()
      guard keys.insert(key).inserted else {
        throw JSONFault(problem: "the key \"\(key)\" appears twice", offset: position, duplicateKey: key)
      }
      skipWhiteSpace()
      guard current == UInt8(ascii: ":") else { throw fault("expected a colon") }
      position += 1
      members.append(JSONMember(key, try value(depth: depth + 1)))
      skipWhiteSpace()
      let next = current
      guard next == UInt8(ascii: ",") || next == UInt8(ascii: "}") else {
        throw fault("expected a comma or a closing brace")
      }
      position += 1
      if next == UInt8(ascii: "}") { return .object(members) }
    }
  }

  private mutating func array(depth: Int) throws(JSONFault) -> JSONValue {
    position += 1
    var elements: [JSONValue] = []
    skipWhiteSpace()
    if current == UInt8(ascii: "]") {
      position += 1
      return .array([])
    }
    while true {
      elements.append(try value(depth: depth + 1))
      skipWhiteSpace()
      let next = current
      guard next == UInt8(ascii: ",") || next == UInt8(ascii: "]") else {
        throw fault("expected a comma or a closing bracket")
      }
      position += 1
      if next == UInt8(ascii: "]") { return .array(elements) }
    }
  }

  private mutating func digits() throws(JSONFault) {
    let start = position
    while let byte = current, byte >= UInt8(ascii: "0"), byte <= UInt8(ascii: "9") { position += 1 }
    guard position > start else { throw fault("expected a digit") }
  }

  private mutating func number() throws(JSONFault) -> JSONValue {
    let start = position
    if current == UInt8(ascii: "-") { position += 1 }
    let leadingZero = current == UInt8(ascii: "0")
    let firstDigit = position
    try digits()
    if leadingZero, position > firstDigit + 1 { throw fault("a number with a leading zero") }
    if current == UInt8(ascii: ".") {
      position += 1
      try digits()
    }
    if current == UInt8(ascii: "e") || current == UInt8(ascii: "E") {
      position += 1
      if current == UInt8(ascii: "+") || current == UInt8(ascii: "-") { position += 1 }
      try digits()
    }
    return .number(String(decoding: bytes[start..<position], as: UTF8.self))
  }

  private mutating func string() throws(JSONFault) -> String {
    position += 1
    let start = position
    var unescaped: [UInt8]? = nil
    while true {
      guard let byte = current else { throw fault("a string without an end") }
      switch byte {
      case UInt8(ascii: "\""):
        let text =
          if let unescaped {
            String(validating: unescaped, as: UTF8.self)
          } else {
            String(validating: bytes[start..<position], as: UTF8.self)
          }
        guard let text else { throw fault("a string that is not UTF-8") }
        position += 1
        return text
      case UInt8(ascii: "\\"):
        var collected = unescaped ?? Array(bytes[start..<position])
        position += 1
        collected.append(contentsOf: String(Character(try escape())).utf8)
        unescaped = collected
      case ..<0x20:
        throw fault("a control character inside a string")
      default:
        unescaped?.append(byte)
        position += 1
      }
    }
  }

  /// What stands behind a backslash.
  private mutating func escape() throws(JSONFault) -> Unicode.Scalar {
    guard let byte = current else { throw fault("a string without an end") }
    position += 1
    switch byte {
    case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): return Unicode.Scalar(byte)
    case UInt8(ascii: "b"): return "\u{8}"
    case UInt8(ascii: "f"): return "\u{C}"
    case UInt8(ascii: "n"): return "\n"
    case UInt8(ascii: "r"): return "\r"
    case UInt8(ascii: "t"): return "\t"
    case UInt8(ascii: "u"):
      let unit = try fourHexDigits()
      if let scalar = Unicode.Scalar(unit) { return scalar }
      guard unit < 0xDC00, current == UInt8(ascii: "\\") else { throw fault("half a surrogate pair") }
      position += 1
      guard current == UInt8(ascii: "u") else { throw fault("half a surrogate pair") }
      position += 1
      let low = try fourHexDigits()
      guard low >= 0xDC00, low < 0xE000,
        let scalar = Unicode.Scalar(0x10000 + (unit - 0xD800) << 10 + (low - 0xDC00))
      else { throw fault("half a surrogate pair") }
      return scalar
    default: throw fault("an unknown escape")
    }
  }

  private mutating func fourHexDigits() throws(JSONFault) -> UInt32 {
    var unit: UInt32 = 0
    for _ in 0..<4 {
      guard let byte = current, let digit = Character(Unicode.Scalar(byte)).hexDigitValue else {
        throw fault("expected four hexadecimal digits")
      }
      unit = unit << 4 | UInt32(digit)
      position += 1
    }
    return unit
  }
}
