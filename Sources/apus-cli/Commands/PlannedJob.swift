import ApusConfiguration
import ApusCore
import ApusForesight
import ApusModels
import ApusRuntime
import Foundation

/// What a command line of `apus plan` asks for.
enum PlannedJob {
  static func request(_ arguments: ParsedArguments) throws -> PlanRequest {
    let configuration = try EstimatedJob.configuration(arguments.required("MODEL"), arguments.all("set"))
    let model = try EstimatedJob.shape(configuration)
    let (hardware, isHere) = try hardware(arguments)
    let sequence =
      arguments.integer("sequence-length") ?? (isHere ? configuration.training.sequenceLength : 4096)
    let tokens = try tokens(arguments.required("batch-tokens"))
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
      globalBatchTokens: tokens, numbers: numbers(arguments.text("precision") ?? (isHere ? "fp32" : "bf16")),
      attention: hardware.newestAttention, margin: margin / 100,
      experts: try ExpertOptions.experts(arguments, model))
  }

  private static func hardware(
    _ arguments: ParsedArguments
  ) throws -> (HardwareDescription, isThisMachine: Bool) {
    let name = arguments.required("hardware")
    if name == "this-machine" { return (try ThisMachine.description(), true) }
    if name.contains("/") || name.hasSuffix(".yaml") || name.hasSuffix(".yml") {
      return (try HardwareDescription(yaml: try TextInput.text(of: name), name: name), false)
    }
    let catalogue = try HardwareCatalogue.shipped()
    guard let known = catalogue.named(name) else {
      let near = nearestName(to: name, in: catalogue.names).map { "did you mean \($0)? " } ?? ""
      throw UsageError(
        "hardware \(name) is not described; \(near)known are \(catalogue.names.joined(separator: ", ")), "
          + "this-machine, or a file")
    }
    return (known, false)
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

/// This machine as a hardware description: its processor measured, ranks as threads of one process.
enum ThisMachine {
  static func description() throws -> HardwareDescription {
    let cores = ArithmeticLibrary.defaultThreads
    // A device of a plan is one rank with one core.
    let measured = try MachineMeasurement.measure(threads: 1, sizes: [1024, 2048], repeats: 3)
    let memory = Double(AvailableMemory.byteCount()) / Double(cores)
    let bandwidth = measured.memoryBytesPerSecond
    // Ranks exchange through memory: read, written, read again.
    return try HardwareDescription(
      yaml: """
        name: this-machine
        architecture: processor
        peak_tflops: {fp32: \(measured.peakFLOPsPerSecond / 1e12)}
        sustained: 1
        multiprocessors: 1
        memory_gib: \(memory / 0x1p30)
        memory_gb_per_second: \(bandwidth / 1e9)
        runtime_gib: 0
        launch_us: 0.5
        devices_per_node: \(cores)
        node_link: {name: memory of this machine, gb_per_second: \(bandwidth / 3e9), latency_us: 5}
        network: {name: memory of this machine, gbit_per_second: \(8 * bandwidth / 3e9), latency_us: 5}
        """, name: "this-machine")
  }
}
