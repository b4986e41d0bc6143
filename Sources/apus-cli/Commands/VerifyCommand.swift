import ApusCommunication
import ApusConfiguration
import ApusCore
import ApusModels
import ApusReport
import ApusTraining
import Foundation

/// `apus verify`: every layout trains as one rank does, or it is told.
enum VerifyCommand: Command {
  static let name = "verify"
  static let summary = "Train small models under hundreds of layouts and compare each with one rank."
  static let arguments = ArgumentsSpecification(
    options: [
      .value(
        "max-ranks", "N", help: "Layouts of up to N ranks; 8 by default, all processes of an MPI job in one."),
      .value("config", "FILE", help: "Verify the model of this configuration, cut down to size."),
      .value("set", "KEY=VALUE", repeated: true, help: "Override one value of --config."),
      .flag("json", help: "Print one JSON object: layouts, passed, failed, worst errors, each layout."),
    ])

  static func run(_ arguments: ParsedArguments) throws {
    let launch = LaunchEnvironment(ProcessInfo.processInfo.environment)
    let ranks = arguments.integer("max-ranks") ?? launch?.size ?? 8
    guard (1...64).contains(ranks) else { throw UsageError("--max-ranks \(ranks): use 1 to 64") }
    let plan = try VerificationPlan(models: models(arguments), maximumRanks: ranks)
    let verification = Verification(plan)
    let report: Verification.Report?
    if let launch, launch.size > 1 {
      let world = try MPIWorld(launch)
      do {
        report = try verification.acrossProcesses(world, transport: MPIWorld.libraryVersion)
      } catch {
        world.fail("\(error)")
        throw error
      }
      try world.leave()
    } else {
      report = try verification.inProcess()
    }
    guard let report else { return }
    try show(report, asJSON: arguments.flag("json"))
    if report.failed > 0 { throw ExitStatus(code: 1) }
  }

  private static func models(
    _ arguments: ParsedArguments
  ) throws -> [(name: String, model: ModelConfiguration)] {
    guard let file = arguments.text("config") else {
      if !arguments.all("set").isEmpty { throw UsageError("--set changes the configuration of --config") }
      return VerificationCase.models
    }
    let configuration = try Configuration.load(
      file: URL(fileURLWithPath: file), overrides: arguments.all("set"))
    let from = try configuration.model.from.map { try ModelFolder($0) { _ in } }
    guard var model = from?.configuration ?? configuration.model.shape else {
      throw CommandError.input(
        path: file, problem: "describes no model; give model a preset, a shape or a folder")
    }
    if model.vocabularySize == 0 { model.vocabularySize = configuration.data.tokenizerVocabularySize }
    let name = URL(fileURLWithPath: file).deletingPathExtension().lastPathComponent
    return [(name, VerificationCase.cutDown(model))]
  }

  private static func show(_ report: Verification.Report, asJSON: Bool) throws {
    if asJSON { return try print(JSONText.of(report)) }
    var table = TextTable([
      .text("model"), .text("layout"), .text("options"), .number("loss"), .number("norm"),
      .number("gradients"),
      .number("weights"), .text(""),
    ])
    for outcome in report.cases {
      let errors = outcome.errors
      table.add(
        [outcome.model, outcome.layout, outcome.options]
          + [errors.loss, errors.gradientNorm, errors.gradients, errors.weights].map(scientific)
          + [verdict(outcome)])
    }
    let worst = report.worst
    try print("\(table)", terminator: "")
    try print(
      "\(report.layouts) layouts, \(report.passed) passed, \(report.failed) failed, in "
        + "\(report.seconds.formatted(decimals: 1)) s; ranks are \(report.transport)")
    try print(
      "worst relative errors against one rank: loss \(scientific(worst.loss)), norm "
        + "\(scientific(worst.gradientNorm)), gradients \(scientific(worst.gradients)), weights "
        + "\(scientific(worst.weights)); each may be \(scientific(report.tolerances.gradients))")
    try print("\(report.coveredPairs) of \(report.pairs) pairs of option values are among the layouts")
  }

  private static func verdict(_ outcome: Verification.Outcome) -> String {
    if outcome.passed { return outcome.repeated == true ? "passed, twice the same bits" : "passed" }
    if let failure = outcome.failure { return "FAILED: \(failure)" }
    if outcome.repeated == false { return "FAILED: a second run gave other numbers" }
    return "FAILED: worst in \(outcome.worstTensors.filter { !$0.isEmpty }.joined(separator: ", "))"
  }

  private static func scientific(_ value: Double) -> String { String(format: "%.1e", value) }
}
