import Foundation

/// The program `apus`.
@main
enum Main {
  /// Every command; one file each in `Commands`.
  static let commands = CommandTable(
    program: "apus", summary: "Train large language models.",
    entries: [
      ConfigCommand.entry,
      .command(EstimateCommand.self),
    ])

  static func main() { exit(commands.run(Array(CommandLine.arguments.dropFirst()))) }
}
