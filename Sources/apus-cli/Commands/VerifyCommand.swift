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
    let verification = try Verification(
      VerificationPlan(models: models(arguments, maximumRanks: ranks), maximumRanks: ranks))
    let failed: Int
    let report: Verification.Report?
    if let launch, launch.size > 1 {
      let world = try MPIWorld(launch)
      do {
        (failed, report) = try verification.acrossProcesses(world, transport: MPIWorld.libraryVersion)
      } catch {
        world.fail("\(error)")
        throw error
      }
      try world.leave()
    } else {
      let found = try verification.inProcess()
      (failed, report) = (found.failed, found)
    }
    if let report { try show(report, asJSON: arguments.flag("json")) }
    if failed > 0 { throw ExitStatus(code: 1) }
  }

  private static func models(
    _ arguments: ParsedArguments, maximumRanks: Int
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
    return [(name, VerificationCase.cutDown(model, maximumRanks: maximumRanks))]
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
    try print("\(table)", terminator: "")
    try print(
      "\(report.layouts) layouts, \(report.passed) passed, \(report.failed) failed, in "
        + "\(report.seconds.formatted(decimals: 1)) s; ranks are \(report.transport)")
    try print("worst relative errors against one rank of the same precision, and what they may be:")
    for precision in report.precisions {
      let (worst, allowed) = (precision.worst, precision.tolerances)
      func pair(_ name: String, _ error: Double, _ tolerance: Double) -> String {
        "\(name) \(scientific(error)) (\(scientific(tolerance)))"
      }
      try print(
        "  \(precision.precision), \(precision.layouts) layouts: " + pair("loss", worst.loss, allowed.loss)
          + ", "
          + pair("norm", worst.gradientNorm, allowed.gradientNorm) + ", "
          + pair("gradients", worst.gradients, allowed.gradients) + ", "
          + pair("weights", worst.weights, allowed.weights))
    }
    try print("\(report.coveredPairs) of \(report.pairs) pairs of option values are among the layouts")
    try print(
      "calls and bytes are those foreseen in \(report.cases.count { $0.communicationIsAsForeseen }) layouts; "
        + "\(report.cases.count { $0.repeated == true }) were run twice with the same bits; in "
        + "\(report.cases.count { $0.synchronisationsAgree == true }) naive, bucketed and overlapped "
        + "synchronisation gave the same bits")
  }

  private static func verdict(_ outcome: Verification.Outcome) -> String {
    if outcome.passed { return "passed" }
    if let failure = outcome.failure { return "FAILED: \(failure)" }
    if outcome.repeated == false { return "FAILED: a second run gave other numbers" }
    if outcome.synchronisationsAgree == false {
      return "FAILED: naive, bucketed and overlapped synchronisation gave different gradients"
    }
    return "FAILED: worst in \(outcome.worstTensors.filter { !$0.isEmpty }.joined(separator: ", "))"
  }

  private static func scientific(_ value: Double) -> String { String(format: "%.1e", value) }
}
