/// What a value on the command line must be.
package enum ValueKind: Sendable {
  case text
  case integer(ClosedRange<Int>)
  case number
  /// One of a few words.
  case choice([String])
}

/// One named argument: `--set KEY=VALUE`, or a flag such as `--json`.
package struct Option: Sendable {
  /// Without the dashes: `set`.
  package let name: String
  /// What `--help` calls the value: `KEY=VALUE`; nil for a flag.
  package let valueName: String?
  package let kind: ValueKind
  package let help: String
  /// Whether it may be given several times.
  package let repeated: Bool
  /// What the getters return when it is not given; shown by `--help`.
  package let defaultValue: String?

  /// An option with a value.
  package static func value(
    _ name: String, _ valueName: String, _ kind: ValueKind = .text, repeated: Bool = false,
    default defaultValue: String? = nil, help: String
  ) -> Option {
    Option(
      name: name, valueName: valueName, kind: kind, help: help, repeated: repeated, defaultValue: defaultValue
    )
  }

  /// An option that is there or not.
  package static func flag(_ name: String, help: String) -> Option {
    Option(name: name, valueName: nil, kind: .text, help: help, repeated: false, defaultValue: nil)
  }
}

/// One argument known by its position.
package struct Positional: Sendable {
  /// What `--help` calls it: `FILE`.
  package let name: String
  package let kind: ValueKind
  package let help: String
  package let required: Bool
  /// Whether it takes all remaining words; only the last positional may.
  package let repeated: Bool

  package init(
    _ name: String, _ kind: ValueKind = .text, required: Bool = true, repeated: Bool = false, help: String
  ) {
    self.name = name
    self.kind = kind
    self.help = help
    self.required = required
    self.repeated = repeated
  }
}

/// Everything that one command accepts, as data: the parser and `--help` both read it.
package struct ArgumentsSpecification: Sendable {
  package var positionals: [Positional]
  package var options: [Option]

  package init(positionals: [Positional] = [], options: [Option] = []) {
    self.positionals = positionals
    self.options = options
  }
}
