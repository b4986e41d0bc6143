/// One value of a YAML document, with the place where it was written.
struct YAMLNode: Sendable {
  enum Content: Sendable {
    /// A single value; `plain` when it was written without quotes.
    case scalar(String, plain: Bool)
    case list([YAMLNode])
    case mapping([Entry])
  }

  /// A key and its value. No key stands twice in one mapping: the reader reports that.
  struct Entry: Sendable {
    var key: String
    var place: Place
    var value: YAMLNode
  }

  var content: Content
  var place: Place

  /// True for an empty value, `null` or `~` without quotes: the key counts as absent.
  var isNull: Bool {
    guard case .scalar(let text, plain: true) = content else { return false }
    return ["", "~", "null", "Null", "NULL"].contains(text)
  }

  /// What stands here, in words: `the text "abc"`, `the number 3`, `a list`.
  var found: String {
    switch content {
    case .list: "a list"
    case .mapping: "a mapping of keys"
    case .scalar(let text, plain: true):
      if isNull {
        "nothing"
      } else if text == "true" || text == "false" {
        "the truth value \(text)"
      } else if parseNumber(text) != nil {
        "the number \(text)"
      } else {
        "the text \"\(text.prefix(60))\""
      }
    case .scalar(let text, plain: false): "the quoted text \"\(text.prefix(60))\""
    }
  }
}

/// A finite decimal number as configurations write it: `3`, `-2.5`, `3e-4`, `1_000_000`.
///
/// Underscores may stand between digits. Hexadecimal, infinity and NaN are no numbers here.
func parseNumber(_ text: String) -> Double? {
  guard let digits = withoutUnderscores(text),
    digits.utf8.allSatisfy({ "0123456789+-.eE".utf8.contains($0) }),
    digits.utf8.contains(where: { (48...57).contains($0) }),
    let value = Double(digits), value.isFinite
  else { return nil }
  return value
}

/// A whole number: digits with an optional sign, or an exact one such as `1e6`.
func parseInteger(_ text: String) -> Int? {
  guard let value = parseNumber(text), let digits = withoutUnderscores(text) else { return nil }
  if let exact = Int(digits) { return exact }
  // Beyond 2^53 a Double no longer holds every whole number.
  return value.magnitude <= 9_007_199_254_740_992 ? Int(exactly: value) : nil
}

/// The text without its underscores, or nil when one does not stand between two digits.
private func withoutUnderscores(_ text: String) -> String? {
  let bytes = Array(text.utf8)
  func isDigit(_ i: Int) -> Bool { bytes.indices.contains(i) && (48...57).contains(bytes[i]) }
  for (i, byte) in bytes.enumerated() where byte == 95 {
    guard isDigit(i - 1), isDigit(i + 1) else { return nil }
  }
  return text.filter { $0 != "_" }
}
