import ApusConfiguration

/// Turns words into arguments, strictly: what is not declared is an error with the nearest valid name.
///
/// `--name value` and `--name=value` mean the same; options and positionals may mix; after `--` every word
/// is positional.
package struct ArgumentsParser {
  private let specification: ArgumentsSpecification
  private var values: [String: [String]] = [:]
  private var flags: Set<String> = []
  private var positionalWords: [String] = []

  private init(_ specification: ArgumentsSpecification) { self.specification = specification }

  package static func parse(
    _ words: [String], _ specification: ArgumentsSpecification
  ) throws(UsageError) -> ParsedArguments {
    var parser = ArgumentsParser(specification)
    try parser.sort(words[...])
    try parser.assignPositionals()
    return ParsedArguments(specification: specification, values: parser.values, flags: parser.flags)
  }

  private mutating func sort(_ words: ArraySlice<String>) throws(UsageError) {
    var words = words
    while let word = words.popFirst() {
      if word == "--" {
        positionalWords += words
        return
      } else if word.hasPrefix("--") {
        try take(option: word, from: &words)
      } else if word.hasPrefix("-"), word.count > 1, Double(word) == nil {
        throw UsageError("unknown option \(word); options are written in full with two dashes")
      } else {
        positionalWords.append(word)
      }
    }
  }

  private mutating func take(option word: String, from words: inout ArraySlice<String>) throws(UsageError) {
    let parts = word.dropFirst(2).split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
    let name = String(parts[0])
    guard let option = specification.options.first(where: { $0.name == name }) else {
      throw UsageError("unknown option --\(name); \(suggestion(for: name))")
    }
    guard let valueName = option.valueName else {
      if parts.count > 1 { throw UsageError("--\(name) takes no value; write --\(name) alone") }
      if !flags.insert(name).inserted { throw UsageError("--\(name) is given twice; keep one") }
      return
    }
    let value: String
    if parts.count > 1 {
      value = String(parts[1])
    } else if let next = words.first, !next.hasPrefix("--") {
      value = next
      words.removeFirst()
    } else {
      throw UsageError("--\(name) has no value; write --\(name) \(valueName)")
    }
    try Self.check(value, option.kind, of: "--\(name)")
    if values[name] != nil, !option.repeated { throw UsageError("--\(name) is given twice; keep one") }
    values[name, default: []].append(value)
  }

  private func suggestion(for name: String) -> String {
    let valid = specification.options.map(\.name) + ["help"]
    if let near = nearestName(to: name, in: valid) { return "did you mean --\(near)?" }
    return "valid are \(alternatives(valid.map { "--" + $0 }))"
  }

  private mutating func assignPositionals() throws(UsageError) {
    var words = positionalWords[...]
    for positional in specification.positionals {
      guard let first = words.first else {
        if positional.required {
          throw UsageError("\(positional.name) is missing; --help explains the arguments")
        }
        continue
      }
      let taken = positional.repeated ? words : [first]
      for word in taken { try Self.check(word, positional.kind, of: positional.name) }
      values[positional.name] = Array(taken)
      words = words.dropFirst(taken.count)
    }
    if let extra = words.first {
      throw UsageError("unexpected argument \"\(extra)\"; quote a value that has spaces")
    }
  }

  private static func check(_ value: String, _ kind: ValueKind, of name: String) throws(UsageError) {
    switch kind {
    case .text:
      return
    case .integer(let range):
      let expected =
        range.upperBound == Int.max
        ? "a whole number of \(range.lowerBound) or more"
        : "a whole number from \(range.lowerBound) to \(range.upperBound)"
      guard let number = Int(value), range.contains(number) else {
        throw UsageError("\(name) is \"\(value)\"; use \(expected)")
      }
    case .number:
      guard let number = Double(value), number.isFinite else {
        throw UsageError("\(name) is \"\(value)\"; use a number")
      }
    case .choice(let words):
      guard !words.contains(value) else { return }
      let near = nearestName(to: value, in: words).map { "did you mean \($0)? " } ?? ""
      throw UsageError("\(name) is \"\(value)\"; \(near)valid are \(alternatives(words))")
    }
  }
}
