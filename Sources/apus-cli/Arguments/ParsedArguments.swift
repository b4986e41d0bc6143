import ApusCore

/// The words of one command, checked against its specification.
///
/// The parser has already checked every value's kind, so the getters cannot fail. Asking for a name that the
/// specification does not declare is a mistake of ours and stops the program.
package struct ParsedArguments: Sendable {
  private let specification: ArgumentsSpecification
  private let values: [String: [String]]
  private let flags: Set<String>

  init(specification: ArgumentsSpecification, values: [String: [String]], flags: Set<String>) {
    self.specification = specification
    self.values = values
    self.flags = flags
  }

  /// True when the flag is given.
  package func flag(_ name: String) -> Bool {
    require(specification.options.contains { $0.name == name && $0.valueName == nil }, "--\(name) is no flag")
    return flags.contains(name)
  }

  /// Every value of an option or positional, in order; its default when none is given.
  package func all(_ name: String) -> [String] {
    let option = specification.options.first { $0.name == name && $0.valueName != nil }
    require(
      option != nil || specification.positionals.contains { $0.name == name },
      "argument \(name) is not declared")
    return values[name] ?? option?.defaultValue.map { [$0] } ?? []
  }

  /// The value of an option or positional, its default, or nil.
  package func text(_ name: String) -> String? { all(name).last }

  /// A positional that the specification requires.
  package func required(_ name: String) -> String {
    guard let value = text(name) else { missing(name) }
    return value
  }

  /// The value of an argument whose kind is an integer.
  package func integer(_ name: String) -> Int? {
    text(name).map { text in
      guard let value = Int(text) else { notChecked(name, text) }
      return value
    }
  }

  /// The value of an argument whose kind is a number.
  package func number(_ name: String) -> Double? {
    text(name).map { text in
      guard let value = Double(text) else { notChecked(name, text) }
      return value
    }
  }

  /// The value of an argument whose kind is a choice, as the enumeration that declares the words.
  package func choice<Choice: RawRepresentable>(_ name: String, _ type: Choice.Type) -> Choice?
  where Choice.RawValue == String {
    text(name).map { text in
      guard let value = Choice(rawValue: text) else { notChecked(name, text) }
      return value
    }
  }

  private func missing(_ name: String) -> Never { fatalError("\(name) is declared as optional but required") }

  private func notChecked(_ name: String, _ text: String) -> Never {
    fatalError("the declared kind of \(name) does not cover \"\(text)\"")
  }
}
