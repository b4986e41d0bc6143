/// A strict JSON parser over bytes: fast enough for tokenizers of many megabytes and for JSON lines.
struct JSONParser {
  private let bytes: UnsafeBufferPointer<UInt8>
  private let path: String
  private let base: Int
  private var position = 0
  private var depth = 0

  /// Parses one whole text. `path` and `base` (the text's offset in that file) only serve the errors.
  static func parse(
    _ bytes: UnsafeBufferPointer<UInt8>, path: String, base: Int = 0
  ) throws(DataError) -> JSONValue {
    var parser = JSONParser(bytes: bytes, path: path, base: base)
    let value = try parser.value()
    parser.skipSpace()
    if parser.position < bytes.count { throw parser.failure("unexpected text after the JSON value") }
    return value
  }

  private init(bytes: UnsafeBufferPointer<UInt8>, path: String, base: Int) {
    (self.bytes, self.path, self.base) = (bytes, path, base)
  }

  private func failure(_ problem: String) -> DataError {
    .json(path: path, byteOffset: base + position, problem: problem)
  }

  private var current: UInt8 { position < bytes.count ? bytes[position] : 0 }

  private mutating func skipSpace() {
    while position < bytes.count {
      switch bytes[position] {
      case 0x20, 0x0a, 0x0d, 0x09: position += 1
      default: return
      }
    }
  }

  private mutating func value() throws(DataError) -> JSONValue {
    skipSpace()
    guard position < bytes.count else { throw failure("the JSON text ends too early") }
    switch current {
    case UInt8(ascii: "{"): return try object()
    case UInt8(ascii: "["): return try array()
    case UInt8(ascii: "\""): return .string(try string())
    case UInt8(ascii: "t"): return try word("true", .bool(true))
    case UInt8(ascii: "f"): return try word("false", .bool(false))
    case UInt8(ascii: "n"): return try word("null", .null)
    default: return try number()
    }
  }

  private mutating func word(_ text: StaticString, _ value: JSONValue) throws(DataError) -> JSONValue {
    let count = text.utf8CodeUnitCount
    guard position + count <= bytes.count else { throw failure("not a JSON value") }
    for index in 0..<count where bytes[position + index] != text.utf8Start[index] {
      throw failure("not a JSON value")
    }
    position += count
    return value
  }

  private mutating func number() throws(DataError) -> JSONValue {
    let start = position
    scan: while position < bytes.count {
      switch bytes[position] {
      case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "+"), UInt8(ascii: "."),
        UInt8(ascii: "e"), UInt8(ascii: "E"):
        position += 1
      default: break scan
      }
    }
    let text = String(decoding: bytes[start..<position], as: UTF8.self)
    if let integer = Int(text), text.first != "+" { return .number(Double(integer)) }
    guard let number = Double(text), text.first != "+" else {
      position = start
      throw failure("not a JSON value")
    }
    return .number(number)
  }

  private mutating func enter() throws(DataError) {
    position += 1
    depth += 1
    if depth > 256 { throw failure("JSON nested deeper than 256 levels") }
  }

  private mutating func array() throws(DataError) -> JSONValue {
    try enter()
    defer { depth -= 1 }
    var elements: [JSONValue] = []
    skipSpace()
    if current == UInt8(ascii: "]") {
      position += 1
      return .array([])
    }
    while true {
      elements.append(try value())
      skipSpace()
      switch current {
      case UInt8(ascii: ","): position += 1
      case UInt8(ascii: "]"):
        position += 1
        return .array(elements)
      default: throw failure("expected , or ] in a JSON array")
      }
    }
  }

  private mutating func object() throws(DataError) -> JSONValue {
    try enter()
    defer { depth -= 1 }
    var members: [(key: String, value: JSONValue)] = []
    skipSpace()
    if current == UInt8(ascii: "}") {
      position += 1
      return .object([])
    }
    while true {
      skipSpace()
      guard current == UInt8(ascii: "\"") else { throw failure("expected a name in a JSON object") }
      let key = try string()
      skipSpace()
      guard current == UInt8(ascii: ":") else { throw failure("expected : in a JSON object") }
      position += 1
      members.append((key, try value()))
      skipSpace()
      switch current {
      case UInt8(ascii: ","): position += 1
      case UInt8(ascii: "}"):
        position += 1
        return .object(members)
      default: throw failure("expected , or } in a JSON object")
      }
    }
  }

  private mutating func string() throws(DataError) -> String {
    position += 1
    let start = position
    while position < bytes.count, bytes[position] != UInt8(ascii: "\""),
      bytes[position] != UInt8(ascii: "\\"),
      bytes[position] >= 0x20
    { position += 1 }
    if current == UInt8(ascii: "\"") {
      defer { position += 1 }
      return try text(Array(bytes[start..<position]))
    }
    var unescaped = Array(bytes[start..<position])
    while position < bytes.count {
      let byte = bytes[position]
      switch byte {
      case UInt8(ascii: "\""):
        defer { position += 1 }
        return try text(unescaped)
      case UInt8(ascii: "\\"): try escape(into: &unescaped)
      case 0..<0x20: throw failure("control character in a JSON string")
      default:
        unescaped.append(byte)
        position += 1
      }
    }
    throw failure("JSON string without an end")
  }

  private func text(_ utf8: [UInt8]) throws(DataError) -> String {
    guard let text = String(validating: utf8, as: UTF8.self) else {
      throw failure("JSON string that is not UTF-8")
    }
    return text
  }

  private mutating func escape(into output: inout [UInt8]) throws(DataError) {
    position += 1
    let kind = current
    position += 1
    switch kind {
    case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): output.append(kind)
    case UInt8(ascii: "b"): output.append(0x08)
    case UInt8(ascii: "f"): output.append(0x0c)
    case UInt8(ascii: "n"): output.append(0x0a)
    case UInt8(ascii: "r"): output.append(0x0d)
    case UInt8(ascii: "t"): output.append(0x09)
    case UInt8(ascii: "u"):
      var code = try hexadecimal()
      if (0xd800..<0xdc00).contains(code), current == UInt8(ascii: "\\"), position + 1 < bytes.count,
        bytes[position + 1] == UInt8(ascii: "u")
      {
        position += 2
        let low = try hexadecimal()
        guard (0xdc00..<0xe000).contains(low) else { throw failure("lone surrogate in a JSON string") }
        code = 0x10000 + (code - 0xd800) << 10 + (low - 0xdc00)
      }
      guard let scalar = Unicode.Scalar(code) else { throw failure("lone surrogate in a JSON string") }
      output += Array(String(Character(scalar)).utf8)
    default:
      position -= 1
      throw failure("unknown escape in a JSON string")
    }
  }

  private mutating func hexadecimal() throws(DataError) -> UInt32 {
    var code: UInt32 = 0
    for _ in 0..<4 {
      let byte = current
      switch byte {
      case UInt8(ascii: "0")...UInt8(ascii: "9"): code = code << 4 + UInt32(byte - UInt8(ascii: "0"))
      case UInt8(ascii: "a")...UInt8(ascii: "f"): code = code << 4 + UInt32(byte - UInt8(ascii: "a") + 10)
      case UInt8(ascii: "A")...UInt8(ascii: "F"): code = code << 4 + UInt32(byte - UInt8(ascii: "A") + 10)
      default: throw failure("expected four hexadecimal digits")
      }
      position += 1
    }
    return code
  }
}
