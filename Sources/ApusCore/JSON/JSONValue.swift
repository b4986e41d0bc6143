/// A JSON text as a tree that keeps what Foundation's parsers lose: the order of the members and numbers as
/// they were written, so that 1 and 1.0 and true stay different things.
package enum JSONValue: Hashable, Sendable {
  case null
  case bool(Bool)
  /// The digits as written.
  case number(String)
  case string(String)
  case array([JSONValue])
  case object([JSONMember])

  /// The member of that name, the last one if it stands twice; nil if there is none or this is no object.
  /// Linear in the members.
  package subscript(key: String) -> JSONValue? { members?.last { $0.key == key }?.value }

  /// Whether the value is null.
  package var isNull: Bool {
    if case .null = self { true } else { false }
  }

  /// The value if it is true or false.
  package var bool: Bool? {
    if case .bool(let value) = self { value } else { nil }
  }

  /// The value if it is a whole number that fits and is written as one: not 1.0 or 1e3.
  package var integer: Int? {
    if case .number(let text) = self { Int(text) } else { nil }
  }

  /// The value if it is a number.
  package var double: Double? {
    if case .number(let text) = self { Double(text) } else { nil }
  }

  /// The value if it is a string.
  package var string: String? {
    if case .string(let text) = self { text } else { nil }
  }

  /// The elements if it is an array.
  package var array: [JSONValue]? {
    if case .array(let elements) = self { elements } else { nil }
  }

  /// The elements if it is an array of whole numbers only.
  package var integers: [Int]? {
    guard let array else { return nil }
    let integers = array.compactMap(\.integer)
    return integers.count == array.count ? integers : nil
  }

  /// The members, in order, if it is an object.
  package var members: [JSONMember]? {
    if case .object(let members) = self { members } else { nil }
  }
}

/// One key of an object and its value.
package struct JSONMember: Hashable, Sendable {
  package var key: String
  package var value: JSONValue

  package init(_ key: String, _ value: JSONValue) {
    self.key = key
    self.value = value
  }
}
