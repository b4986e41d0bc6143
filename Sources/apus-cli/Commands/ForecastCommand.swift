import ApusConfiguration
import ApusCore
import ApusForesight
import ApusModels
import ApusReport
import Foundation

/// `apus forecast`: how long a step of any layout takes on any described hardware, and whether it fits.
enum ForecastCommand: Command {
  static let name = "forecast"
  static let summary = "Foresee speed and memory of a layout on hardware that need not be here."
  static let arguments = ArgumentsSpecification(
    positionals: [Positional("PRESET", help: "A model preset, such as llama-3-8b.")],
    options: [
      .value("hardware", "NAME", default: "H100-80GB", help: NamedHardware.help),
      .value("data", "N", .integer(1...1_048_576), default: "1", help: "Replicas."),
      .value("tensor", "N", .integer(1...4096), default: "1", help: "Tensor-parallel ranks."),
      .value("context", "N", .integer(1...4096), default: "1", help: "Context-parallel ranks."),
      .value("pipeline", "N", .integer(1...4096), default: "1", help: "Pipeline stages."),
    ] + ExpertOptions.options + [
      .value("expert", "N", .integer(1...16_384), default: "1", help: "Ranks that share the experts."),
      .value("zero", "STAGE", .integer(0...3), default: "0", help: "ZeRO stage over the replicas."),
      .flag("sequence-parallel", help: "Norms and residuals work on sequence shards."),
      .value(
        "schedule", "NAME", .choice(PipelineSchedule.names), default: "1f1b", help: "Of the pipeline."),
      .value("chunks", "V", .integer(1...128), default: "2", help: "Chunks a device, when interleaved."),
      .value("micro-batch", "N", .integer(1...1_048_576), default: "1", help: "Sequences of a micro-batch."),
      .value(
        "micro-batches", "N", .integer(1...1_048_576), default: "8",
        help: "Micro-batches of a replica in a step."),
      .value(
        "sequence-length", "N", .integer(1...16_777_216), default: "4096", help: "Tokens of a sequence."),
      .value(
        "recompute", "POLICY", .choice(JobRecomputation.allCases.map(\.rawValue)), default: "none",
        help: "What backward computes again."),
      .value(
        "precision", "TYPE", .choice(JobNumbers.Compute.allCases.map(\.rawValue)), default: "bf16",
        help: "Of products."),
      .value(
        "attention", "KERNEL", .choice(AttentionKernel.allCases.map(\.rawValue)), default: "flash2",
        help: "How attention is computed."),
      .value(
        "stack", "NAME", .choice(SoftwareStack.Name.allCases.map(\.rawValue)), default: "apus",
        help: "Whose kernels, host and overlap."),
      .value("constants", "FILE", help: "Values of the cost model's constants."),
      .value("svg", "FILE", help: "Write the pipeline's Gantt chart as a picture."),
      .value("trace", "FILE", help: "Write a trace for Perfetto (ui.perfetto.dev)."),
      .flag("json", help: "Print one JSON object."),
    ])

  static func run(_ arguments: ParsedArguments) throws {
    let job = try ForecastRequest.job(arguments)
    let simulator = StepSimulator(try ForecastRequest.constants(arguments))
    let forecast: StepForecast
    do { forecast = try simulator.forecast(job) } catch { throw UsageError("\(error)") }
    try draw(simulator.play(job), arguments)
    if arguments.flag("json") {
      try print(try JSONText.of(ForecastSummary(job, forecast)))
    } else {
      try print(ForecastText.text(job, forecast), terminator: "")
    }
  }

  private static func draw(_ play: StepPlay, _ arguments: ParsedArguments) throws {
    guard arguments.text("svg") != nil || arguments.text("trace") != nil else { return }
    let layout = play.job.layout
    let orders = try layout.schedule.orders(devices: layout.pipeline, microbatches: layout.microbatches)
    let timeline = Timeline(
      try play.timetable(), of: orders,
      title:
        "\(arguments.required("PRESET")), \(layout.pipeline) stages, \(layout.microbatches) micro-batches",
      unit: .seconds)
    for (option, name) in [("svg", "forecast.svg"), ("trace", "forecast.json")] {
      guard let path = arguments.text(option) else { continue }
      let text = option == "svg" ? GanttSVG(timeline).description : TimelineTrace(timeline).description
      try OutputPlace(path, .file(named: name)).write(Array(text.utf8))
    }
  }
}

/// The job that a command line of `apus forecast` speaks of.
enum ForecastRequest {
  static func constants(_ arguments: ParsedArguments) throws -> CostConstants {
    guard let file = arguments.text("constants") else { return CostConstants() }
    return try CostConstants(yaml: try text(of: file), name: file)
  }

  static func job(_ arguments: ParsedArguments) throws -> TrainingJob {
    let name = arguments.required("PRESET")
    guard var model = ModelPresets.named(name) else {
      let near = nearestName(to: name, in: ModelPresets.names).map { "did you mean \($0)? " } ?? ""
      throw UsageError(
        "\(name) is no preset; \(near)presets are \(ModelPresets.names.joined(separator: ", "))")
    }
    if model.vocabularySize == 0 { model.vocabularySize = 50_304 }
    let chunks = arguments.integer("chunks") ?? 2
    let sequence = arguments.integer("sequence-length") ?? 4096
    let layout = JobLayout(
      ParallelLayout(
        data: arguments.integer("data") ?? 1, tensor: arguments.integer("tensor") ?? 1,
        context: arguments.integer("context") ?? 1, pipeline: arguments.integer("pipeline") ?? 1,
        expert: arguments.integer("expert") ?? 1, zeroStage: arguments.integer("zero") ?? 0,
        sequenceParallel: arguments.flag("sequence-parallel")),
      schedule: PipelineSchedule(name: arguments.text("schedule") ?? "1f1b", chunks: chunks)
        ?? .oneForwardOneBackward,
      microBatchSize: arguments.integer("micro-batch") ?? 1,
      microbatches: arguments.integer("micro-batches") ?? 8)
    try check(model, layout, sequence: sequence)
    let experts = try ExpertOptions.experts(arguments, model)
    try ExpertOptions.check(experts, layout)
    let compute = arguments.choice("precision", JobNumbers.Compute.self) ?? .bf16
    return TrainingJob(
      model: model, layout: layout, sequenceLength: sequence, numbers: JobNumbers(of: compute),
      recomputation: arguments.choice("recompute", JobRecomputation.self) ?? .none,
      attention: arguments.choice("attention", AttentionKernel.self) ?? .flash2,
      stack: SoftwareStack(arguments.choice("stack", SoftwareStack.Name.self) ?? .apus),
      hardware: try NamedHardware.description(
        arguments.required("hardware"), [JobNumbers(of: compute).policy]),
      experts: experts)
  }

  private static func check(_ model: ModelConfiguration, _ layout: JobLayout, sequence: Int) throws {
    guard model.headCount.isMultiple(of: layout.tensor) else {
      throw UsageError("--tensor \(layout.tensor) does not divide \(model.headCount) heads")
    }
    guard sequence.isMultiple(of: layout.context) else {
      throw UsageError("--context \(layout.context) does not divide a sequence of \(sequence)")
    }
    let stages = layout.schedule.stages(devices: layout.pipeline)
    guard stages <= model.layerCount else {
      throw UsageError(
        "\(stages) stages for \(model.layerCount) layers; use a smaller --pipeline or --chunks")
    }
  }

  private static func text(of path: String) throws -> String {
    guard let data = FileManager.default.contents(atPath: path),
      let text = String(validating: data, as: UTF8.self)
    else { throw CommandError.input(path: path, problem: "cannot be read as UTF-8 text") }
    return text
  }
}
