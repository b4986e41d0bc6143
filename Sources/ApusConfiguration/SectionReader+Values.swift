/// A condition on a number, with the words that describe it.
package struct NumberRule: Sendable {
  package let words: String
  package let allows: @Sendable (Double) -> Bool

  package static let positive = NumberRule(words: "a number above 0") { $0 > 0 }
  package static let notNegative = NumberRule(words: "a number of 0 or more") { $0 >= 0 }
  package static let fraction = NumberRule(words: "a number of at least 0 and below 1") { $0 >= 0 && $0 < 1 }
  package static let atLeastOne = NumberRule(words: "a number of 1 or more") { $0 >= 1 }
}

extension SectionReader {
  /// A whole number in the range; an upper end of `Int.max` is not mentioned to the user.
  package mutating func integer(
    _ key: String, _ range: ClosedRange<Int> = 1...Int.max, aliases: [String] = []
  ) -> Int? {
    guard let node = node(key, aliases: aliases) else { return nil }
    let written = spelling(of: key, aliases)
    let expected = Self.words(for: range)
    guard let text = plainScalar(node, written, expected) else { return nil }
    guard let value = parseInteger(text) else {
      reportType(node, written, expected)
      return nil
    }
    guard range.contains(value) else {
      report(written, "\(text) is out of range", "use \(expected)")
      return nil
    }
    return value
  }

  package mutating func number(_ key: String, _ rule: NumberRule) -> Double? {
    guard let node = node(key), let text = plainScalar(node, key, rule.words) else { return nil }
    guard let value = parseNumber(text) else {
      reportType(node, key, rule.words)
      return nil
    }
    guard rule.allows(value) else {
      report(key, "\(text) is out of range", "use \(rule.words)")
      return nil
    }
    return value
  }

  package mutating func truth(_ key: String) -> Bool? {
    guard let node = node(key), let text = plainScalar(node, key, "true or false") else { return nil }
    guard text == "true" || text == "false" else {
      reportType(node, key, "true or false")
      return nil
    }
    return text == "true"
  }

  /// Any scalar that is not empty, with or without quotes.
  package mutating func text(_ key: String) -> String? {
    guard let node = node(key) else { return nil }
    guard case .scalar(let text, _) = node.content else {
      reportType(node, key, "text")
      return nil
    }
    guard !text.isEmpty, !text.contains("\0") else {
      report(key, text.isEmpty ? "is an empty text" : "holds a zero byte", "write a text or remove the key")
      return nil
    }
    return text
  }

  /// One of the enumeration's raw values.
  package mutating func choice<Choice: RawRepresentable & CaseIterable>(
    _ key: String, _ type: Choice.Type
  ) -> Choice? where Choice.RawValue == String {
    guard let text = text(key) else { return nil }
    if let choice = Choice(rawValue: text) { return choice }
    reportChoice(key, text, among: Choice.allCases.map(\.rawValue))
    return nil
  }

  /// Notes a word that is none of the valid ones.
  mutating func reportChoice(_ key: String, _ found: String, among valid: [String]) {
    let near = nearestName(to: found, in: valid).map { "did you mean \($0)? " } ?? ""
    report(
      key, "\"\(found)\" is not known",
      "\(near)valid \(valid.count > 1 ? "are" : "is") \(alternatives(valid))")
  }

  mutating func reportType(_ node: YAMLNode, _ key: String, _ expected: String) {
    report(key, "found \(node.found), expected \(expected)", "write \(expected)")
  }

  /// The unquoted scalar of a number or truth value; notes what else was found.
  private mutating func plainScalar(_ node: YAMLNode, _ key: String, _ expected: String) -> String? {
    switch node.content {
    case .scalar(let text, plain: true): return text
    case .scalar(_, plain: false):
      report(key, "found \(node.found), expected \(expected)", "remove the quotes")
    case .list, .mapping:
      reportType(node, key, expected)
    }
    return nil
  }

  /// The name that the user wrote: the key's own or an alias.
  private func spelling(of key: String, _ aliases: [String]) -> String {
    has(key) ? key : aliases.first { has($0) } ?? key
  }

  private static func words(for range: ClosedRange<Int>) -> String {
    range.upperBound == Int.max
      ? "a whole number of \(range.lowerBound) or more"
      : "a whole number from \(range.lowerBound) to \(range.upperBound)"
  }
}
