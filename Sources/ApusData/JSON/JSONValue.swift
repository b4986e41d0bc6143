/// A parsed JSON text. Objects keep the order and the duplicates of their members, and strings their exact
/// scalars, which a tokenizer's vocabulary needs and dictionaries of strings would not give.
enum JSONValue: Sendable {
  case null
  case bool(Bool)
  case number(Double)
  case string(String)
  case array([JSONValue])
  case object([(key: String, value: JSONValue)])

  /// The member of that name (the last one if it stands twice), or nil.
  subscript(key: String) -> JSONValue? {
    guard case .object(let members) = self else { return nil }
    return members.last { $0.key == key }?.value
  }

  var string: String? { if case .string(let value) = self { value } else { nil } }
  var bool: Bool? { if case .bool(let value) = self { value } else { nil } }
  var array: [JSONValue]? { if case .array(let value) = self { value } else { nil } }
  var members: [(key: String, value: JSONValue)]? {
    if case .object(let value) = self { value } else { nil }
  }
  var integer: Int? { if case .number(let value) = self { Int(exactly: value) } else { nil } }
  var isNull: Bool { if case .null = self { true } else { false } }
}

extension JSONValue {
  /// Appends the text as a JSON string with its quotes.
  static func appendQuoted(_ text: some Sequence<UInt8>, to output: inout [UInt8]) {
    let hexadecimal = Array("0123456789abcdef".utf8)
    output.append(UInt8(ascii: "\""))
    for byte in text {
      switch byte {
      case UInt8(ascii: "\""), UInt8(ascii: "\\"): output += [UInt8(ascii: "\\"), byte]
      case 0x0a: output += Array("\\n".utf8)
      case 0x0d: output += Array("\\r".utf8)
      case 0x09: output += Array("\\t".utf8)
      case 0..<0x20, 0x7f:
        output += Array("\\u00".utf8)
        output += [hexadecimal[Int(byte >> 4)], hexadecimal[Int(byte & 15)]]
      default: output.append(byte)
      }
    }
    output.append(UInt8(ascii: "\""))
  }
}
