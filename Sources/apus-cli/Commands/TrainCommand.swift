import ApusCommunication
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
      .value(
        "launch", "HOW",
        help:
          "Run the layout's ranks as threads of this process (threads, the default) or start mpirun (mpi)."),
      .value(
        "hardware", "FILE", default: ThisMachine.name,
        help: "What foresees the step: a description by apus bench machine, this-machine, which is measured "
          + "before the run, or none."),
      .flag(
        "probe-speed",
        help:
          "About every second, run a few steps of small models between those of the run, to tell a change of "
          + "the machine's speed from an error of foresight; with a description by --hardware."),
      .flag("json", help: "Print a summary as one JSON object at the end."),
    ])

  static func run(_ arguments: ParsedArguments) throws {
    if arguments.flag("resume"), arguments.flag("overwrite") {
      throw UsageError("--resume and --overwrite exclude each other")
    }
    let start: RunFolder.Start =
      arguments.flag("resume") ? .resume : arguments.flag("overwrite") ? .overwrite : .fresh
    let configuration = Result {
      let configuration = try Configuration.load(
        file: URL(fileURLWithPath: arguments.required("CONFIG")), overrides: arguments.all("set"))
      try TrainingLaunch.check(configuration)
      return configuration
    }
    let launch = LaunchEnvironment(ProcessInfo.processInfo.environment)
    if try startsLauncher(arguments.text("launch"), launch) {
      let status = try MPILauncher.run(
        ranks: configuration.get().layout.ranks.worldSize,
        arguments: MPILauncher.ownArguments(without: "--launch"))
      if status != 0 { throw ExitStatus(code: status) }
      return
    }
    let foresight = try foresight(arguments.required("hardware"), probes: arguments.flag("probe-speed"))
    // With --json standard output is for the summary alone.
    let descriptor: Int32 = arguments.flag("json") ? 2 : 1
    let summary: TrainingRun.Summary?
    if let launch, launch.size > 1 {
      summary = try TrainingLaunch.asProcess(
        launch, configuration, start: start, command: CommandLine.arguments, descriptor: descriptor,
        foresight: foresight)
    } else {
      summary = try TrainingLaunch.inProcess(
        configuration.get(), start: start, command: CommandLine.arguments, descriptor: descriptor,
        foresight: foresight)
    }
    guard let summary else { return }
    try show(summary, asJSON: arguments.flag("json"))
    if !arguments.flag("json") { try print(StepComparisonText(summary.step).text, terminator: "") }
    if summary.wasStopped, StopRequest.exitStatus != 0 { throw ExitStatus(code: StopRequest.exitStatus) }
  }

  private static func foresight(_ name: String, probes: Bool) throws -> StepForesight.Source {
    if probes, ["none", ThisMachine.name].contains(name) {
      throw UsageError(
        "--probe-speed needs --hardware FILE, a description by apus bench machine --hardware FILE")
    }
    if name == "none" { return .nothing }
    if name == ThisMachine.name { return .measurement }
    guard let processor = try NamedHardware.read(name).measured else {
      throw UsageError(
        "--hardware \(name) describes a machine that was not measured; write one with apus bench machine "
          + "--hardware FILE")
    }
    return .description(processor, probes: probes)
  }

  /// Whether `mpirun` is to be started; inside a job it has been.
  private static func startsLauncher(_ how: String?, _ launch: LaunchEnvironment?) throws -> Bool {
    switch how {
    case nil, "threads": return false
    case "mpi":
      if let launch {
        throw UsageError("--launch mpi inside a job that \(launch.launcher) has started; remove it")
      }
      return true
    default: throw UsageError("--launch \(how ?? ""): use threads or mpi")
    }
  }

  private static func show(_ summary: TrainingRun.Summary, asJSON: Bool) throws {
    if asJSON { return try print(JSONText.of(summary)) }
    var line = "loss \(summary.loss.formatted(decimals: 4))"
    if let loss = summary.validationLoss {
      line += ", validation loss \(loss.formatted(decimals: 4))"
    }
    if let bits = summary.validationBitsPerByte { line += ", \(bits.formatted(decimals: 3)) bits per byte" }
    try print(
      line + ", \(summary.tokensPerSecond.formatted(decimals: 0)) tokens/s, "
        + "\((summary.shareOfPeak * 100).formatted(decimals: 0)) % of the measured peak, "
        + "\(summary.seconds.formatted(decimals: 0)) s")
  }
}
