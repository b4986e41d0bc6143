/// A configuration value on its way out: what `resolvedYAML` and `resolvedJSON` print.
enum ResolvedValue: Sendable {
  case null
  case truth(Bool)
  case integer(Int)
  case number(Double)
  case text(String)
  case list([ResolvedValue])
  case mapping(ResolvedEntries)

  /// Block-style YAML, `depth` levels of two spaces in.
  ///
  /// Texts are double-quoted with JSON's escapes, which YAML shares, unless they are plain words.
  func yaml(depth: Int = 0) -> String {
    let indent = String(repeating: "  ", count: depth)
    switch self {
    case .mapping(let entries):
      return entries.pairs.map { indent + "\($0.key):" + $0.value.afterColon(depth) }.joined()
    case .list(let values):
      return values.map { value in
        guard case .mapping = value else { return indent + "- " + value.json + "\n" }
        return indent + "- " + value.yaml(depth: depth + 1).dropFirst(indent.count + 2)
      }.joined()
    default:
      return indent + scalarYAML + "\n"
    }
  }

  private func afterColon(_ depth: Int) -> String {
    switch self {
    case .mapping(let entries) where entries.pairs.isEmpty: " {}\n"
    case .list(let values) where values.isEmpty: " []\n"
    case .mapping, .list: "\n" + yaml(depth: depth + 1)
    default: " \(scalarYAML)\n"
    }
  }

  private var scalarYAML: String {
    if case .text(let text) = self, isPlainWord(text) { return text }
    return json
  }

  /// The value on one line as JSON.
  var json: String {
    switch self {
    case .null: "null"
    case .truth(let value): "\(value)"
    case .integer(let value): "\(value)"
    case .number(let value): value == value.rounded() && value.magnitude < 1e15 ? "\(Int(value))" : "\(value)"
    case .text(let text): jsonText(text)
    case .list(let values): "[" + values.map(\.json).joined(separator: ", ") + "]"
    case .mapping(let entries):
      "{" + entries.pairs.map { "\(jsonText($0.key)): \($0.value.json)" }.joined(separator: ", ") + "}"
    }
  }
}

/// Keys and values in the order in which they are printed.
struct ResolvedEntries: Sendable {
  private(set) var pairs: [(key: String, value: ResolvedValue)] = []

  mutating func add(_ key: String, _ value: ResolvedValue) { pairs.append((key, value)) }
  mutating func add(_ key: String, _ value: Bool) { add(key, .truth(value)) }
  mutating func add(_ key: String, _ value: Int) { add(key, .integer(value)) }
  mutating func add(_ key: String, _ value: Double) { add(key, .number(value)) }
  /// An absent text is not printed.
  mutating func add(_ key: String, _ value: String?) { if let value { add(key, .text(value)) } }
}

/// True for words that YAML reads as text without quotes: a letter first, then letters, digits, `-_./`.
private func isPlainWord(_ text: String) -> Bool {
  guard let first = text.utf8.first, (65...90).contains(first) || (97...122).contains(first) else {
    return false
  }
  let reserved = ["true", "false", "null", "yes", "no", "on", "off", "y", "n"]
  return !reserved.contains(text.lowercased())
    && text.utf8.allSatisfy {
      (48...57).contains($0) || (65...90).contains($0) || (97...122).contains($0) || "-_./".utf8.contains($0)
    }
}

/// A double-quoted text that JSON and YAML both read.
package func jsonText(_ text: String) -> String {
  var result = "\""
  for scalar in text.unicodeScalars {
    switch scalar {
    case "\"": result += "\\\""
    case "\\": result += "\\\\"
    case "\n": result += "\\n"
    case "\t": result += "\\t"
    case "\r": result += "\\r"
    // Control characters and what YAML does not let stand for itself or takes for a line break.
    case "\0"..<" ", "\u{7F}"..."\u{9F}", "\u{2028}", "\u{2029}", "\u{FEFF}", "\u{FFFE}", "\u{FFFF}":
      let digits = String(scalar.value, radix: 16)
      result += "\\u" + String(repeating: "0", count: 4 - digits.count) + digits
    default: result.unicodeScalars.append(scalar)
    }
  }
  return result + "\""
}
