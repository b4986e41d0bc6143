import ApusConfiguration
import ApusCore
import ApusReport
import ApusRuntime

/// `apus bench attention`: the attention kernels alone, forward and backward.
enum BenchAttention: Command {
  static let name = "attention"
  static let summary = "Time causal attention, forward and backward."
  static let arguments = ArgumentsSpecification(options: [
    .value("micro-batch", "N", .integer(1...4096), default: "1", help: "Sequences."),
    .value("sequence-length", "N", .integer(1...65_536), default: "1024", help: "Tokens in a sequence."),
    .value("precision", "P", .choice(["fp32", "bf16"]), default: "fp32", help: "Number format."),
    .value("threads", "N", .integer(1...4096), help: "Threads to use (default: one a core)."),
    .flag("json", help: "Print JSON."),
  ])

  static func run(_ arguments: ParsedArguments) throws {
    let (batch, length) = (arguments.integer("micro-batch") ?? 1, arguments.integer("sequence-length") ?? 1)
    let result = AttentionBenchmark.run(
      batch: batch, sequence: length, type: arguments.text("precision") == "bf16" ? .bfloat16 : .float32,
      threads: arguments.integer("threads") ?? ArithmeticLibrary.defaultThreads)
    if arguments.flag("json") { return try print(JSONText.of(result)) }
    var table = TextTable([.text("attention, 12 heads of 64"), .number("ms"), .number("GFLOP/s")])
    func add(_ name: String, _ seconds: Double, _ rate: Double) {
      table.add([name, (1e3 * seconds).formatted(decimals: 2), (rate / 1e9).formatted(decimals: 1)])
    }
    add("forward", result.forwardSeconds, result.forwardFlopsPerSecond)
    add("forward and backward", result.forwardBackwardSeconds, result.forwardBackwardFlopsPerSecond)
    try print(table)
  }
}
