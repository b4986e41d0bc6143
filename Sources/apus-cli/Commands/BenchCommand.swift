import ApusCommunication
import ApusConfiguration
import ApusCore
import ApusModels
import ApusProgram
import ApusReport
import ApusRuntime
import ApusTraining
import Foundation

/// `apus bench`: what this machine reaches, what a training step makes of it, and how fast steps are foreseen.
enum BenchCommand {
  static let entry = CommandEntry.group(
    name: "bench", summary: "Measure this machine, training steps on it, or forecasts.",
    commands: [Machine.self, Train.self, Kernels.self, BenchAttention.self, BenchForesight.self])

  private static let threads = Option.value(
    "threads", "N", .integer(1...4096), help: "Threads to use (default: one a core).")

  /// `apus bench machine`: matrix peak and memory bandwidth.
  enum Machine: Command {
    static let name = "machine"
    static let summary = "Measure matrix peak and memory bandwidth."
    static let arguments = ArgumentsSpecification(options: [
      threads,
      .value(
        "hardware", "FILE",
        help:
          "Also measure every kind of instruction and write a description for --hardware of plan, forecast, "
          + "train and sweep."),
      .flag("json", help: "Print JSON."),
    ])

    struct Result: Encodable {
      var measuredPeakFlopsPerSecond: Double
      var memoryBytesPerSecond: Double
      var productFlopsPerSecond: [String: Double]
      var threads: Int
      var arithmetic: String
    }

    static func run(_ arguments: ParsedArguments) throws {
      if let path = arguments.text("hardware") { try describe(path) }
      let measured = try MachineMeasurement.measure(
        threads: arguments.integer("threads") ?? ArithmeticLibrary.defaultThreads)
      if arguments.flag("json") {
        let products = measured.productFLOPsPerSecond.map { (String($0.key), $0.value) }
        return try print(
          JSONText.of(
            Result(
              measuredPeakFlopsPerSecond: measured.peakFLOPsPerSecond,
              memoryBytesPerSecond: measured.memoryBytesPerSecond,
              productFlopsPerSecond: Dictionary(uniqueKeysWithValues: products), threads: measured.threads,
              arithmetic: ArithmeticLibrary.description)))
      }
      var table = TextTable([.text("measured on \(measured.threads) threads"), .number("median of 5")])
      for size in MachineMeasurement.sizes {
        let speed = measured.productFLOPsPerSecond[size] ?? 0
        table.add([
          "float32 product \(size) x \(size) x \(size)", "\((speed / 1e9).formatted(decimals: 1)) GFLOP/s",
        ])
      }
      table.add([
        "peak: the best of these", "\((measured.peakFLOPsPerSecond / 1e9).formatted(decimals: 1)) GFLOP/s",
      ])
      table.add([
        "memory, two vectors added", "\((measured.memoryBytesPerSecond / 1e9).formatted(decimals: 1)) GB/s",
      ])
      try print(table)
      try print(ArithmeticLibrary.description)
    }

    /// Writes the description.
    private static func describe(_ path: String) throws {
      let place = try OutputPlace(path, .file(named: "this-machine.yaml"))
      let watch = Stopwatch()
      let description = try ThisMachine.describe([.fp32, .bf16SummingInFloat32, .fp16])
      try place.write(Array(description.yaml.utf8))
      let sharings = description.measured?.sharings ?? []
      StandardError.note(
        "\(place.path): \(sharings.map { "\($0.curves.count) curves for \($0.ranks) x \($0.threads)" }.joined(separator: ", ")) "
          + "(ranks x threads) in \(watch.seconds.formatted(decimals: 1)) s")
    }
  }

  /// `apus bench kernels`: each kernel against what bounds it.
  enum Kernels: Command {
    static let name = "kernels"
    static let summary = "Time each kernel against its bound and its scalar definition."
    static let arguments = ArgumentsSpecification(options: [
      threads, .flag("json", help: "Print JSON."),
      .flag("explain", help: "Count instead what a GPU's memory would see: coalescing, tiles, fusion."),
    ])

    struct Result: Encodable {
      var measuredPeakFlopsPerSecond: Double
      var memoryBytesPerSecond: Double
      var threads: Int
      var kernels: [KernelBenchmark.Time]
      var ladders: [FusionBenchmark.Ladder]
    }

    static func run(_ arguments: ParsedArguments) throws {
      if arguments.flag("explain") { return try print(KernelExplanation.text, terminator: "") }
      let machine = try MachineMeasurement.measure(
        threads: arguments.integer("threads") ?? ArithmeticLibrary.defaultThreads)
      let times = KernelBenchmark(machine).run()
      let ladders = FusionBenchmark(threads: machine.threads).run()
      if arguments.flag("json") {
        return try print(
          JSONText.of(
            Result(
              measuredPeakFlopsPerSecond: machine.peakFLOPsPerSecond,
              memoryBytesPerSecond: machine.memoryBytesPerSecond, threads: machine.threads, kernels: times,
              ladders: ladders)))
      }
      var table = TextTable([
        .text("kernel"), .text("shape"), .number("ms"), .number("rate"), .number("of bound"), .text("bound"),
        .number("scalar, 1 thread"), .number("faster"),
      ])
      for time in times {
        let unit = time.bound == .memory ? "GB/s" : "GFLOP/s"
        table.add([
          time.kernel, time.shape, (time.seconds * 1e3).formatted(decimals: 2),
          "\((time.rate / 1e9).formatted(decimals: 1)) \(unit)",
          "\((time.shareOfBound * 100).formatted(decimals: 0)) %", time.bound.rawValue,
          "\((time.scalarSeconds * 1e3).formatted(decimals: 1)) ms",
          "\((time.scalarSeconds / time.seconds).formatted(decimals: 0))x",
        ])
      }
      try print(table)
      try print(
        "\(machine.threads) threads; peak \((machine.peakFLOPsPerSecond / 1e9).formatted(decimals: 1)) GFLOP/s, "
          + "memory \((machine.memoryBytesPerSecond / 1e9).formatted(decimals: 1)) GB/s (two vectors added into a third)\n"
          + "more than 100 % of memory: the data stays in the cache, or is written where it was just read\n")
      try print(LadderText.table(ladders, machine))
    }
  }

  /// `apus bench train`: whole steps of a preset.
  enum Train: Command {
    static let name = "train"
    static let summary = "Time whole training steps of a preset on made-up tokens."
    static let arguments = ArgumentsSpecification(options: [
      .value("model", "PRESET", .choice(ModelPresets.names), default: "gpt2-124m", help: "The model."),
      .value("layers", "N", .integer(1...1000), help: "Layers, instead of the preset's."),
      .value("vocabulary", "N", .integer(2...10_000_000), help: "Tokens, instead of the preset's vocabulary."),
      .value("micro-batch", "N", .integer(1...1_000_000), default: "4", help: "Sequences in a micro-batch."),
      .value(
        "sequence-length", "N", .integer(1...100_000_000), default: "256", help: "Tokens in a sequence."),
      .value("accumulation", "N", .integer(1...1_000_000), default: "1", help: "Micro-batches in a step."),
      .value(
        "recomputation", "POLICY", .choice(RecomputationPolicy.allCases.map(\.rawValue)), default: "none",
        help: "What backward computes again: none, selective or full."),
      .value(
        "precision", "P", .choice(TrainingSection.Precision.allCases.map(\.rawValue)), default: "fp32",
        help: "Number format of weights and activations: fp32, bf16 or fp16."),
      .value(
        "gradient-precision", "P", .choice(TrainingSection.GradientPrecision.allCases.map(\.rawValue)),
        default: "fp32", help: "Number format of the gradients' sums: fp32, or bf16 with --precision bf16."),
      .value(
        "layout", "YAML", help: "Ranks, as the section of a configuration: '{data: 2, zero_stage: 1}'."),
      .value(
        "steps", "N", .integer(1...1_000_000), default: "10", help: "Timed steps, after two to warm up."),
      threads,
      .flag("profile", help: "Add a table of where the time goes, from one more step."),
      .value(
        "output", "FILE", help: "Write a trace of one more step of the first rank, for ui.perfetto.dev."),
      .flag("json", help: "Print JSON."),
    ])

    struct Report: Encodable, Sendable {
      var result: TrainingBenchmark.Result
      var operations: [TrainingBenchmark.OperationTime]?
      var trace: String?

      enum CodingKeys: String, CodingKey { case operations }

      func encode(to encoder: any Encoder) throws {
        try result.encode(to: encoder)
        var container = encoder.container(keyedBy: CodingKeys.self)
        try container.encodeIfPresent(operations, forKey: .operations)
      }
    }

    static func run(_ arguments: ParsedArguments) throws {
      guard var model = ModelPresets.named(arguments.required("model")) else { return }
      // A preset that leaves its vocabulary to a tokenizer is timed with the size of the default tokenizer.
      if model.vocabularySize == 0 { model.vocabularySize = 4096 }
      model.layerCount = arguments.integer("layers") ?? model.layerCount
      model.vocabularySize = arguments.integer("vocabulary") ?? model.vocabularySize
      let length = arguments.integer("sequence-length") ?? 0
      guard length <= model.maximumSequenceLength else {
        throw UsageError(
          "--sequence-length \(length): \(arguments.required("model")) takes at most \(model.maximumSequenceLength)"
        )
      }
      var training = TrainingSection(steps: 1, sequenceLength: length)
      training.precision = arguments.choice("precision", TrainingSection.Precision.self) ?? .fp32
      training.gradientPrecision =
        arguments.choice("gradient-precision", TrainingSection.GradientPrecision.self) ?? .fp32
      guard training.precision == .bf16 || training.gradientPrecision == .fp32 else {
        throw UsageError("--gradient-precision bf16 needs --precision bf16")
      }
      let layout =
        try arguments.text("layout").map {
          try LayoutSection.parse($0, model: model, sequenceLength: length)
        } ?? LayoutSection()
      if arguments.flag("profile"), layout.ranks.worldSize > 1 {
        throw UsageError("--profile times the instructions of one rank; remove it or --layout")
      }
      let tracePlace = try arguments.text("output").map { try OutputPlace($0, .file(named: "trace.json")) }
      let (timed, precision) = (model, training.precisionPolicy)
      let measured = try RankLaunch.run(
        layout, LaunchEnvironment(ProcessInfo.processInfo.environment)
      ) { place in
        let benchmark = try TrainingBenchmark(
          timed, microBatchSize: arguments.integer("micro-batch") ?? 1, sequenceLength: length,
          accumulation: arguments.integer("accumulation") ?? 1,
          recomputation: .uniform(arguments.choice("recomputation", RecomputationPolicy.self) ?? .none),
          precision: precision, threads: place.threads(asked: arguments.integer("threads") ?? 0),
          layout: layout, place: place)
        let steps = arguments.integer("steps") ?? 1
        var report = Report(result: try benchmark.run(steps: steps))
        if arguments.flag("profile") { report.operations = benchmark.profile() }
        if tracePlace != nil {
          report.trace = try benchmark.trace(step: 3 + steps, title: arguments.required("model"))
        }
        return report
      }
      guard let measured else { return }
      if let tracePlace, let trace = measured.trace { try tracePlace.write(Array(trace.utf8)) }
      let (result, operations) = (measured.result, measured.operations)
      if arguments.flag("json") {
        return try print(JSONText.of(Report(result: result, operations: operations)))
      }
      try show(result)
      if let operations { try show(operations, result) }
    }

    private static func show(_ r: TrainingBenchmark.Result) throws {
      func giga(_ value: Double) -> String { (value / 1e9).formatted(decimals: 1) }
      var table = TextTable([.text("whole step, median"), .number("")])
      table.add(["tokens/s", r.tokensPerSecond.formatted(decimals: 1)])
      table.add(["step", "\(r.stepSeconds.formatted(decimals: 3)) s"])
      table.add(["forward", "\(r.forwardSeconds.formatted(decimals: 3)) s"])
      table.add(["backward, head and loss", "\(r.backwardSeconds.formatted(decimals: 3)) s"])
      table.add(["clipping and optimizer", "\(r.optimizerSeconds.formatted(decimals: 3)) s"])
      table.add(["model FLOP/s", "\(giga(r.modelFlopsPerSecond)) GFLOP/s"])
      table.add(["measured peak", "\(giga(r.measuredPeakFlopsPerSecond)) GFLOP/s, \(r.measuredPeakOf)"])
      table.add(["share of peak", "\((r.shareOfPeak * 100).formatted(decimals: 1)) %"])
      table.add(["bytes moved, fused", "\(ByteCount(r.bytesMoved))"])
      table.add(["bytes moved, unfused", "\(ByteCount(r.bytesMovedUnfused))"])
      table.add(["planned memory", "\(ByteCount(r.plannedBytes))"])
      table.add(["arena high water", "\(ByteCount(r.arenaHighWaterBytes))"])
      table.add(["peak resident", "\(ByteCount(r.peakResidentBytes))"])
      for axis in r.communication ?? [] {
        table.add(["\(axis.axis): calls, sent a step", "\(axis.calls), \(ByteCount(Int(axis.bytes)))"])
        table.add(["\(axis.axis): exposed", "\(axis.exposedSeconds.formatted(decimals: 3)) s"])
        table.add(["\(axis.axis): hidden", "\(axis.hiddenSeconds.formatted(decimals: 3)) s"])
      }
      try print(table)
    }

    private static func show(
      _ operations: [TrainingBenchmark.OperationTime], _ r: TrainingBenchmark.Result
    ) throws {
      let sum = operations.reduce(0) { $0 + $1.seconds }
      var table = TextTable([
        .text("operation"), .text("segment"), .number("ms"), .number("share"), .number("GFLOP/s"),
        .number("of peak"), .number("GB/s"),
      ])
      for operation in operations {
        let isMatrix = operation.flopsPerSecond > 0
        table.add([
          operation.operation, operation.segment, (operation.seconds * 1e3).formatted(decimals: 1),
          "\((operation.seconds / sum * 100).formatted(decimals: 1)) %",
          isMatrix ? (operation.flopsPerSecond / 1e9).formatted(decimals: 1) : "",
          isMatrix
            ? "\((operation.flopsPerSecond / r.measuredPeakFlopsPerSecond * 100).formatted(decimals: 0)) %"
            : "",
          (operation.bytesPerSecond / 1e9).formatted(decimals: 1),
        ])
      }
      try print(table)
    }
  }
}
