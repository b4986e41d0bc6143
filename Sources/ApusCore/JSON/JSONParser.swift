/// Why a text is not JSON, and at which byte.
package struct JSONFault: Error, Hashable, CustomStringConvertible {
  package var problem: String
  package var offset: Int
  /// The key, if the problem is that an object has it twice.
  package var duplicateKey: String?

  package init(problem: String, offset: Int, duplicateKey: String? = nil) {
    (self.problem, self.offset, self.duplicateKey) = (problem, offset, duplicateKey)
  }

  package var description: String { "not JSON: \(problem) at byte \(offset)" }
}

extension JSONValue {
  /// What to do with an object that has a key twice, which RFC 8259 leaves open.
  package enum DuplicateKeys: Sendable {
    /// A fault with `duplicateKey` set. Keys are compared byte by byte.
    case refused
    /// Both members are kept; looking up finds the last.
    case kept
  }

  /// Parses one text; nothing but white space may stand around the value.
  ///
  /// Strict (RFC 8259) and linear in the bytes. Arrays and objects may be nested 128 deep, so that no input
  /// overflows the stack.
  package init(parsing bytes: UnsafeRawBufferPointer, duplicateKeys: DuplicateKeys) throws(JSONFault) {
    var parser = JSONParser(bytes: bytes, duplicateKeys: duplicateKeys)
    self = try parser.value(depth: 0)
    parser.skipWhiteSpace()
    guard parser.position == bytes.count else { throw parser.fault("more text after the end of the value") }
  }
}

/// The state of parsing: where in the text it is.
struct JSONParser {
  let bytes: UnsafeRawBufferPointer
  let duplicateKeys: JSONValue.DuplicateKeys
  var position = 0
  private static let deepestNesting = 128

  func fault(_ problem: String) -> JSONFault { JSONFault(problem: problem, offset: position) }

  /// The next byte; 0, which no JSON text holds, at the end.
  var current: UInt8 { position < bytes.count ? bytes[position] : 0 }

  mutating func skipWhiteSpace() {
    while true {
      switch current {
      case 0x20, 0x0A, 0x0D, 0x09: position += 1
      default: return
      }
    }
  }

  mutating func value(depth: Int) throws(JSONFault) -> JSONValue {
    skipWhiteSpace()
    guard position < bytes.count else { throw fault("unexpected end") }
    switch current {
    case UInt8(ascii: "{"): return .object(try members(depth: depth))
    case UInt8(ascii: "["): return .array(try elements(depth: depth))
    case UInt8(ascii: "\""): return .string(try string())
    case UInt8(ascii: "t"): return try word("true", .bool(true))
    case UInt8(ascii: "f"): return try word("false", .bool(false))
    case UInt8(ascii: "n"): return try word("null", .null)
    case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"): return try number()
    default: throw fault("unexpected byte \(current)")
    }
  }

  private mutating func word(_ text: StaticString, _ value: JSONValue) throws(JSONFault) -> JSONValue {
    for i in 0..<text.utf8CodeUnitCount {
      guard current == text.utf8Start[i] else { throw fault("unknown word") }
      position += 1
    }
    return value
  }

  /// Steps over the opening bracket; false if the closing one follows at once and was stepped over too.
  private mutating func enter(depth: Int, closing: UInt8) throws(JSONFault) -> Bool {
    guard depth < JSONParser.deepestNesting else { throw fault("too deep nesting") }
    position += 1
    skipWhiteSpace()
    guard current == closing else { return true }
    position += 1
    return false
  }

  /// Steps over a comma, or over the closing bracket: then false.
  private mutating func goesOn(closing: UInt8) throws(JSONFault) -> Bool {
    skipWhiteSpace()
    guard current == UInt8(ascii: ",") || current == closing else {
      throw fault("expected a comma or \(Character(Unicode.Scalar(closing)))")
    }
    defer { position += 1 }
    return current != closing
  }

  private mutating func elements(depth: Int) throws(JSONFault) -> [JSONValue] {
    let closing = UInt8(ascii: "]")
    var elements: [JSONValue] = []
    guard try enter(depth: depth, closing: closing) else { return elements }
    repeat { elements.append(try value(depth: depth + 1)) } while try goesOn(closing: closing)
    return elements
  }

  private mutating func members(depth: Int) throws(JSONFault) -> [JSONMember] {
    let closing = UInt8(ascii: "}")
    var members: [JSONMember] = []
    var keys: Set<ExactKey> = []
    guard try enter(depth: depth, closing: closing) else { return members }
    repeat {
      skipWhiteSpace()
      guard current == UInt8(ascii: "\"") else { throw fault("expected a key") }
      let key = try string()
      if case .refused = duplicateKeys, !keys.insert(ExactKey(text: key)).inserted {
        throw JSONFault(problem: "the key \"\(key)\" stands twice", offset: position, duplicateKey: key)
      }
      skipWhiteSpace()
      guard current == UInt8(ascii: ":") else { throw fault("expected a colon") }
      position += 1
      members.append(JSONMember(key, try value(depth: depth + 1)))
    } while try goesOn(closing: closing)
    return members
  }

  private mutating func digits() throws(JSONFault) {
    let start = position
    while case UInt8(ascii: "0")...UInt8(ascii: "9") = current { position += 1 }
    guard position > start else { throw fault("expected a digit") }
  }

  private mutating func number() throws(JSONFault) -> JSONValue {
    let start = position
    if current == UInt8(ascii: "-") { position += 1 }
    let firstDigit = position
    try digits()
    if bytes[firstDigit] == UInt8(ascii: "0"), position > firstDigit + 1 {
      position = firstDigit
      throw fault("a number with a leading zero")
    }
    if current == UInt8(ascii: ".") {
      position += 1
      try digits()
    }
    if current == UInt8(ascii: "e") || current == UInt8(ascii: "E") {
      position += 1
      if current == UInt8(ascii: "+") || current == UInt8(ascii: "-") { position += 1 }
      try digits()
    }
    return .number(String(decoding: UnsafeRawBufferPointer(rebasing: bytes[start..<position]), as: UTF8.self))
  }
}

/// A key that equals another only if their bytes do: `String` takes é and e with an accent for the same.
private struct ExactKey: Hashable {
  let text: String

  static func == (a: ExactKey, b: ExactKey) -> Bool { a.text.utf8.elementsEqual(b.text.utf8) }

  func hash(into hasher: inout Hasher) {
    var text = text
    text.withUTF8 { hasher.combine(bytes: UnsafeRawBufferPointer($0)) }
  }
}
