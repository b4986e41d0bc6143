import ApusConfiguration
import ApusTraining
import Foundation

/// `apus config`: looks at configurations without doing anything else.
enum ConfigCommand {
  static let entry = CommandEntry.group(
    name: "config", summary: "Check a configuration or print it with every default filled in.",
    commands: [Show.self, Check.self])

  /// `apus config show FILE`: the resolved configuration as YAML or JSON.
  enum Show: Command {
    static let name = "show"
    static let summary = "Print a configuration with every default filled in, as YAML."
    static let arguments = configurationArguments(
      json: "Print JSON instead of YAML, or the problems as JSON.")

    static func run(_ arguments: ParsedArguments) throws {
      let configuration = try loadOrReport(arguments)
      if arguments.flag("json") {
        try print(configuration.resolvedJSON)
      } else {
        try print(configuration.resolvedYAML, terminator: "")
      }
    }
  }

  /// `apus config check FILE`: every problem, those of the data files too, or one line that says there is none.
  enum Check: Command {
    static let name = "check"
    static let summary = "Report everything that is wrong with a configuration."
    static let arguments = configurationArguments(json: "Print the problems as one JSON object.")

    static func run(_ arguments: ParsedArguments) throws {
      let configuration = try loadOrReport(arguments)
      do { _ = try RunSources(configuration.data) } catch {
        guard arguments.flag("json") else { throw error }
        try report([Problem(key: "data", message: "\(error)", remedy: "check data.train and data.validation")]
        )
        throw ExitStatus(code: 1)
      }
      try print(arguments.flag("json") ? #"{"problems":[]}"# : "\(arguments.required("FILE")): valid")
    }
  }

  private static func configurationArguments(json: String) -> ArgumentsSpecification {
    ArgumentsSpecification(
      positionals: [Positional("FILE", help: "A configuration file in YAML.")],
      options: [
        .value("set", "KEY=VALUE", repeated: true, help: "Override one value, as in training.steps=20."),
        .flag("json", help: json),
      ])
  }

  /// Loads the file, or prints its problems as JSON and ends when `--json` asks for that.
  private static func loadOrReport(_ arguments: ParsedArguments) throws -> Configuration {
    do {
      return try Configuration.load(
        file: URL(fileURLWithPath: arguments.required("FILE")), overrides: arguments.all("set"))
    } catch let error where arguments.flag("json") {
      try report(error.problems)
      throw ExitStatus.usage
    }
  }

  private static func report(_ problems: [Problem]) throws {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    try print(String(decoding: try encoder.encode(["problems": problems]), as: UTF8.self))
  }
}
