import Foundation
import Testing
import apus_cli

private enum Train: Command {
  static let name = "train"
  static let summary = "Train a model."
  static let arguments = ArgumentsSpecification(
    positionals: [Positional("FILE", help: "The job.")],
    options: [
      .value(
        "steps", "N", .integer(1...9), default: "3",
        help: "How many steps are made before the program ends."),
      .value("set", "KEY=VALUE", repeated: true, help: "Override."),
    ])
  static func run(_ arguments: ParsedArguments) throws {
    if arguments.required("FILE") == "bad" { throw ExitStatus(code: 7) }
  }
}

private let table = CommandTable(
  program: "apus", summary: "Train.",
  entries: [.command(Train.self), .group(name: "model", summary: "Models.", commands: [Train.self])])

@Suite struct CommandTableTests {
  private func help(_ words: String...) throws -> String {
    guard case .help(let text) = try table.request(for: words) else { return "" }
    return text
  }

  @Test func findsCommands() throws {
    for words in [["train", "x"], ["model", "train", "x"]] {
      guard case .run(let command, let arguments) = try table.request(for: words) else {
        Issue.record("\(words) runs nothing")
        continue
      }
      #expect(command.name == "train" && arguments.required("FILE") == "x")
    }
  }

  @Test(arguments: [
    ([], "no command; one of train or model, or --help"),
    (["trian"], "unknown command trian; did you mean apus train?"),
    (["model", "trian"], "unknown command model trian; did you mean apus model train?"),
    (["model"], "model needs a command; one of train, or --help"),
    (["sleep"], "unknown command sleep; valid are train or model"),
    (["--quiet"], "unknown option --quiet; options follow a command, or --help"),
  ])
  func mistakes(words: [String], line: String) {
    let error = #expect(throws: UsageError.self) { try table.request(for: words) }
    #expect(error?.description == line)
  }

  @Test func helpTexts() throws {
    #expect(try help("--help").contains("  train  Train a model.\n  model  Models.\n"))
    #expect(try help("help") == help("-h"))
    #expect(try help("model", "--help").contains("Usage: apus model COMMAND"))
    #expect(try help("help", "model", "train") == help("model", "train", "--help"))
    #expect(
      try help("train", "x", "--help") == """
        Train a model.

        Usage: apus train FILE [OPTIONS]

        Arguments:
          FILE  The job.

        Options:
          --steps N        How many steps are made before the program ends. Default: 3.
          --set KEY=VALUE  Override. May be repeated.
          --help           Print this text.

        """)
    guard case .run = try table.request(for: ["train", "--", "--help"]) else {
      Issue.record("a word after -- is a value")
      return
    }
  }

  @Test func exitStatus() {
    #expect(table.run(["train", "good"]) == 0)
    #expect(table.run(["train", "bad"]) == 7)
  }

  @Test func configCheck() throws {
    let file = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .deletingLastPathComponent().appending(path: "Configurations/llama-tiny.yaml").path
    let program = Main.commands
    // The corpus need not be there: any file stands in.
    #expect(program.run(["config", "check", file, "--set", "data.train=[\(file)]"]) == 0)
    #expect(program.run(["config", "show", "--json", file]) == 0)
    #expect(program.run(["config", "check", file, "--json", "--set", "training.stepz=3"]) == 2)
  }
}
