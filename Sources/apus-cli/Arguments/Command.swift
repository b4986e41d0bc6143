import ApusConfiguration

/// One command of the program. Conforming types have no cases or state: everything is static.
package protocol Command: Sendable {
  /// The word on the command line: `check`.
  static var name: String { get }
  /// One line for the list of commands.
  static var summary: String { get }
  /// What it accepts.
  static var arguments: ArgumentsSpecification { get }
  /// Does the work.
  ///
  /// - Throws: any error, whose description becomes `apus: ...`; `ExitStatus` ends the program without a
  ///   word.
  static func run(_ arguments: ParsedArguments) throws
}

/// A command, or a word with commands under it: `apus config check`.
package enum CommandEntry: Sendable {
  case command(any Command.Type)
  case group(name: String, summary: String, commands: [any Command.Type])

  package var name: String {
    switch self {
    case .command(let command): command.name
    case .group(let name, _, _): name
    }
  }

  package var summary: String {
    switch self {
    case .command(let command): command.summary
    case .group(_, let summary, _): summary
    }
  }
}

/// The whole command line: finds the command that the words name and what they ask of it.
package struct CommandTable: Sendable {
  /// The program's name: `apus`.
  package let program: String
  package let summary: String
  package let entries: [CommandEntry]

  package init(program: String, summary: String, entries: [CommandEntry]) {
    (self.program, self.summary, self.entries) = (program, summary, entries)
  }

  /// What the words ask for.
  package enum Request {
    case help(String)
    case run(any Command.Type, ParsedArguments)
  }

  /// Finds the command and parses its arguments. `--help`, `-h` and `help` are understood everywhere.
  package func request(for words: [String]) throws(UsageError) -> Request {
    guard let first = words.first else {
      throw UsageError("no command; one of \(alternatives(entries.map(\.name))), or --help")
    }
    if Self.asksForHelp(first) {
      // `apus help config check` is `apus config check --help`.
      return words.count == 1 || first != "help"
        ? .help(help) : try request(for: Array(words.dropFirst()) + ["--help"])
    }
    guard let entry = entries.first(where: { $0.name == first }) else {
      throw unknown(first, among: entries.map(\.name), after: "")
    }
    let rest = Array(words.dropFirst())
    switch entry {
    case .command(let command):
      return try request(command, rest, path: "\(program) \(first)")
    case .group(let name, let summary, let commands):
      guard let second = rest.first else {
        throw UsageError(
          "\(name) needs a command; one of \(alternatives(commands.map { $0.name })), or --help")
      }
      if Self.asksForHelp(second) { return .help(groupHelp(name, summary, commands)) }
      guard let command = commands.first(where: { $0.name == second }) else {
        throw unknown(second, among: commands.map { $0.name }, after: "\(name) ")
      }
      return try request(command, Array(rest.dropFirst()), path: "\(program) \(name) \(second)")
    }
  }

  private func request(
    _ command: any Command.Type, _ words: [String], path: String
  ) throws(UsageError) -> Request {
    // After `--` the words are values.
    if words.prefix(while: { $0 != "--" }).contains(where: { $0 == "--help" || $0 == "-h" }) {
      return .help(command.help(path: path))
    }
    return .run(command, try ArgumentsParser.parse(words, command.arguments))
  }

  private static func asksForHelp(_ word: String) -> Bool { ["--help", "-h", "help"].contains(word) }

  private func unknown(_ word: String, among valid: [String], after group: String) -> UsageError {
    if word.hasPrefix("-") {
      return UsageError("unknown option \(word); options follow a command, or --help")
    }
    let remedy = nearestName(to: word, in: valid).map { "did you mean \(program) \(group)\($0)?" }
    return UsageError("unknown command \(group)\(word); \(remedy ?? "valid are \(alternatives(valid))")")
  }
}
