import ApusConfiguration
import ApusCore
import ApusForesight
import ApusReport
import ApusTraining
import Foundation

/// `apus bench foresight`: how many layouts a second are foreseen.
enum BenchForesight: Command {
  static let name = "foresight"
  static let summary = "Time forecasts of one- to three-dimensional layouts of an 8B model."
  static let arguments = ArgumentsSpecification(options: [.flag("json", help: "Print JSON.")])

  /// Data, tensor and pipeline parallelism of Llama 3 8B over 1 to 64 nodes. Nothing is known before: recording and
  /// pricing the layers counts.
  private static let specification = """
    simulate:
      hardware: H100-80GB
      models: [llama-3-8b]
      sequence_length: 4096
      global_batch_tokens: 4194304
      nodes: [1, 2, 4, 8, 16, 32, 64]
      tensor: [1, 2, 4, 8]
      pipeline: [1, 2, 4, 8, 16, 32]
      schedule: [1f1b, afab, interleaved]
      chunks: [2, 4]
      zero_stage: [0, 1, 2, 3]
      micro_batch_size: [1, 2, 4, 8]
      recomputation: [none, full]
    """

  struct Result: Encodable {
    var configurations, fitting, cores: Int
    var seconds, configurationsPerSecond: Double
    var bestTokensPerSecondPerDevice: Double
  }

  static func run(_ arguments: ParsedArguments) throws {
    let result = try measure()
    if arguments.flag("json") { return try print(JSONText.of(result)) }
    var table = TextTable([.text("Llama 3 8B, 1 to 64 nodes of 8 H100"), .number("")])
    table.add(["configurations", result.configurations.grouped])
    table.add(["of those fit", result.fitting.grouped])
    table.add(["cores", "\(result.cores)"])
    table.add(["time", "\(result.seconds.formatted(decimals: 2)) s"])
    table.add(["configurations a second", Int(result.configurationsPerSecond).grouped])
    try print(table)
  }

  static func measure() throws -> Result {
    let sweep = try SweepSpecification(
      yaml: specification, name: "apus bench foresight", catalogue: try .shipped())
    guard case .simulate(let work) = sweep.work else { throw UsageError("the benchmark simulates nothing") }
    let watch = Stopwatch()
    let records = SweepForecast().records(work.combinations().runs)
    let seconds = watch.seconds
    let fitting = records.filter { $0.predictedStatus == .ok }
    return Result(
      configurations: records.count, fitting: fitting.count,
      cores: ProcessInfo.processInfo.activeProcessorCount, seconds: seconds,
      configurationsPerSecond: Double(records.count) / max(seconds, 1e-9),
      bestTokensPerSecondPerDevice: fitting.compactMap { $0.predicted?.tokensPerSecondPerDevice }.max() ?? 0)
  }
}
