import Foundation

/// The program `apus`.
@main
package enum Main {
  /// Every command; one file each in `Commands`.
  package static let commands = CommandTable(
    program: "apus", summary: "Train large language models.",
    entries: [
      .command(TrainCommand.self),
      .command(GenerateCommand.self),
      .command(EvaluateCommand.self),
      .command(EstimateCommand.self),
      .command(ForecastCommand.self),
      .command(VerifyCommand.self),
      .command(ScheduleCommand.self),
      .command(PlanCommand.self),
      .command(SweepCommand.self),
      .command(ChartCommand.self),
      .command(ProfileCommand.self),
      .command(ValidateCommand.self),
      BenchCommand.entry,
      ConfigCommand.entry,
      TokenizerCommand.entry,
      DataCommand.entry,
      ImportCommand.entry,
      ExportCommand.entry,
      CheckpointCommand.entry,
    ])

  package static func main() {
    BarrierSpin.shorten()
    exit(commands.run(Array(CommandLine.arguments.dropFirst())))
  }
}
