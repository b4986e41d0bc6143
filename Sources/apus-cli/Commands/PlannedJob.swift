import ApusConfiguration
import ApusCore
import ApusForesight
import ApusModels
import ApusTraining
import Foundation

/// What a command line of `apus plan` asks for.
enum PlannedJob {
  static func request(_ arguments: ParsedArguments) throws -> PlanRequest {
    let configuration = try EstimatedJob.configuration(arguments.required("MODEL"), arguments.all("set"))
    let model = try EstimatedJob.shape(configuration)
    let name = arguments.required("hardware")
    let precision = arguments.text("precision") ?? (name == ThisMachine.name ? "fp32" : nil)
    let numbers = Self.numbers(precision ?? "bf16")
    let hardware = try NamedHardware.description(name, [numbers.policy])
    // What was measured here is meant to run here.
    let isHere = hardware.measured != nil
    let sequence =
      arguments.integer("sequence-length") ?? (isHere ? configuration.training.sequenceLength : 4096)
    let tokens = try Self.tokens(arguments.required("batch-tokens"))
    guard tokens >= sequence, tokens.isMultiple(of: sequence) else {
      throw UsageError("\(ForesightError.partialSequence(tokens: tokens, sequenceLength: sequence))")
    }
    let margin = arguments.number("margin") ?? 0
    guard (0..<100).contains(margin) else {
      throw UsageError("--margin \(margin) is no share of the memory; use 0 to below 100 percent")
    }
    return PlanRequest(
      model: model, hardware: hardware,
      devices: arguments.integer("devices") ?? hardware.devicesPerNode, sequenceLength: sequence,
      globalBatchTokens: tokens, numbers: precision == nil && isHere ? Self.numbers("fp32") : numbers,
      attention: hardware.newestAttention, margin: margin / 100,
      experts: try ExpertOptions.experts(arguments, model))
  }

  /// `4194304`, `4M`, `512K`.
  private static func tokens(_ text: String) throws -> Int {
    let units: [Character: Int] = ["K": 1 << 10, "M": 1 << 20, "G": 1 << 30]
    let unit = text.last.flatMap { units[Character($0.uppercased())] }
    let digits = unit == nil ? text : String(text.dropLast())
    guard let count = Int(digits), count > 0, count < 1 << 40 else {
      throw UsageError("--batch-tokens \(text) is no number of tokens; write one such as 4194304 or 4M")
    }
    return count * (unit ?? 1)
  }

  private static func numbers(_ word: String) -> JobNumbers {
    switch word {
    case "bf16-fp32-gradients": JobNumbers(gradientBytes: 4, gradientWireBytes: 4)
    case "fp16": JobNumbers(compute: .fp16)
    case "fp8": JobNumbers(compute: .fp8)
    case "fp32":
      JobNumbers(
        compute: .fp32, weightBytes: 4, gradientBytes: 4, optimizerBytes: 8, gradientWireBytes: 4,
        parameterWireBytes: 4)
    default: JobNumbers()
    }
  }
}
