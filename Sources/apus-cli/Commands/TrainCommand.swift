import ApusConfiguration
import ApusCore
import ApusTraining
import Foundation

/// `apus train CONFIG`: a training run from configuration to report.
enum TrainCommand: Command {
  static let name = "train"
  static let summary = "Train the model that a configuration describes."
  static let arguments = ArgumentsSpecification(
    positionals: [Positional("CONFIG", help: "A configuration file in YAML.")],
    options: [
      .value("set", "KEY=VALUE", repeated: true, help: "Override one value, as in training.steps=20."),
      .flag("resume", help: "Go on after the latest checkpoint of the run folder."),
      .flag("overwrite", help: "Delete the run that the run folder holds and start anew."),
      .flag("json", help: "Print a summary as one JSON object at the end."),
    ])

  static func run(_ arguments: ParsedArguments) throws {
    let configuration = try Configuration.load(
      file: URL(fileURLWithPath: arguments.required("CONFIG")), overrides: arguments.all("set"))
    if arguments.flag("resume"), arguments.flag("overwrite") {
      throw UsageError("--resume and --overwrite exclude each other")
    }
    let start: RunFolder.Start =
      arguments.flag("resume") ? .resume : arguments.flag("overwrite") ? .overwrite : .fresh
    // With --json standard output is for the summary alone.
    let run = try TrainingRun(
      configuration, start: start, command: CommandLine.arguments, descriptor: arguments.flag("json") ? 2 : 1)
    let summary = try run.run()
    if arguments.flag("json") {
      try print(JSONText.of(summary))
    } else {
      var line = "loss \(summary.loss.formatted(decimals: 4))"
      if let loss = summary.validationLoss {
        line += ", validation loss \(loss.formatted(decimals: 4))"
      }
      if let bits = summary.validationBitsPerByte { line += ", \(bits.formatted(decimals: 3)) bits per byte" }
      try print(
        line + ", \(summary.tokensPerSecond.formatted(decimals: 0)) tokens/s, "
          + "\((summary.shareOfPeak * 100).formatted(decimals: 0)) % of the measured peak, "
          + "\(summary.seconds.formatted(decimals: 0)) s")
      if !summary.wasStopped {
        try print(RealAgainstForeseen(configuration, tokensPerSecond: summary.tokensPerSecond).text)
      }
    }
    if summary.wasStopped { throw ExitStatus(code: StopRequest.exitStatus) }
  }
}
