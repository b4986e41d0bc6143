/// A JSON text as a tree that keeps what Foundation's parsers lose: the order of the keys, and numbers as
/// they were written, so that 1 and 1.0 and true stay different things.
package enum JSONValue: Hashable, Sendable {
  case null
  case bool(Bool)
  /// The digits as written.
  case number(String)
  case string(String)
  case array([JSONValue])
  case object([JSONMember])

  /// The member of an object, or nil if this is no object or has none of that name. Linear in the members.
  package subscript(key: String) -> JSONValue? {
    guard case .object(let members) = self else { return nil }
    return members.first { $0.key == key }?.value
  }

  /// The value as a whole number, if it was written as one that fits.
  package var int: Int? {
    if case .number(let text) = self { Int(text) } else { nil }
  }

  /// The value as a number.
  package var double: Double? {
    if case .number(let text) = self { Double(text) } else { nil }
  }

  /// The value as a string.
  package var string: String? {
    if case .string(let text) = self { text } else { nil }
  }

  /// The value as true or false.
  package var bool: Bool? {
    if case .bool(let value) = self { value } else { nil }
  }

  /// The value as a list of whole numbers, if every element is one.
  package var ints: [Int]? {
    guard case .array(let elements) = self else { return nil }
    var result: [Int] = []
    for element in elements {
      guard let value = element.int else { return nil }
      result.append(value)
    }
    return result
  }

  package static func number(_ value: Int) -> JSONValue { .number(String(value)) }

  /// A finite number, always with a point or an exponent.
  package static func number(_ value: Double) -> JSONValue { .number("\(value)") }

  /// The value as text, each member on its own line, as Python's `json.dumps(indent=2)` writes it.
  package func text(indentation: Int = 0) -> String {
    let inner = String(repeating: " ", count: indentation + 2)
    let outer = String(repeating: " ", count: indentation)
    switch self {
    case .null: return "null"
    case .bool(let value): return value ? "true" : "false"
    case .number(let text): return text
    case .string(let text): return JSONValue.quoted(text)
    case .array(let elements):
      guard !elements.isEmpty else { return "[]" }
      let lines = elements.map { inner + $0.text(indentation: indentation + 2) }
      return "[\n" + lines.joined(separator: ",\n") + "\n" + outer + "]"
    case .object(let members):
      guard !members.isEmpty else { return "{}" }
      let lines = members.map {
        inner + JSONValue.quoted($0.key) + ": " + $0.value.text(indentation: indentation + 2)
      }
      return "{\n" + lines.joined(separator: ",\n") + "\n" + outer + "}"
    }
  }

  /// A string in quotes with what JSON demands escaped.
  package static func quoted(_ text: String) -> String {
    var result = "\""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\"": result += "\\\""
      case "\\": result += "\\\\"
      case "\n": result += "\\n"
      case "\r": result += "\\r"
      case "\t": result += "\\t"
      case _ where scalar.value < 0x20:
        let digits = String(scalar.value, radix: 16)
        result += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
      default: result.unicodeScalars.append(scalar)
      }
    }
    return result + "\""
  }
}

/// One key and its value.
package struct JSONMember: Hashable, Sendable {
  package var key: String
  package var value: JSONValue

  package init(_ key: String, _ value: JSONValue) {
    self.key = key
    self.value = value
  }
}
