/// What a value on the command line must be.
enum ValueKind: Sendable {
  case text
  case integer(ClosedRange<Int>)
  case number
  /// One of a few words.
  case choice([String])
}

/// One named argument: `--set KEY=VALUE`, or a flag such as `--json`.
struct Option: Sendable {
  /// Without the dashes: `set`.
  let name: String
  /// What `--help` calls the value: `KEY=VALUE`; nil for a flag.
  let valueName: String?
  let kind: ValueKind
  let help: String
  /// Whether it may be given several times.
  let repeated: Bool
  /// What the getters return when it is not given; shown by `--help`.
  let defaultValue: String?

  /// An option with a value.
  static func value(
    _ name: String, _ valueName: String, _ kind: ValueKind = .text, repeated: Bool = false,
    default defaultValue: String? = nil, help: String
  ) -> Option {
    Option(
      name: name, valueName: valueName, kind: kind, help: help, repeated: repeated, defaultValue: defaultValue
    )
  }

  /// An option that is there or not.
  static func flag(_ name: String, help: String) -> Option {
    Option(name: name, valueName: nil, kind: .text, help: help, repeated: false, defaultValue: nil)
  }
}

/// One argument known by its position.
struct Positional: Sendable {
  /// What `--help` calls it: `FILE`.
  let name: String
  let kind: ValueKind
  let help: String
  let required: Bool
  /// Whether it takes all remaining words; only the last positional may.
  let repeated: Bool

  init(
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
struct ArgumentsSpecification: Sendable {
  var positionals: [Positional] = []
  var options: [Option] = []
}
