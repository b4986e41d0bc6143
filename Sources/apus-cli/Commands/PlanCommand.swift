import ApusConfiguration
import ApusCore
import ApusForesight
import ApusModels
import ApusReport
import Foundation

/// `apus plan`: the batch recipe, then the best layout of a model on a cluster, and why the others lose.
enum PlanCommand: Command {
  static let name = "plan"
  static let summary = "Find the best layout of a model on a cluster, and say why the others lose."
  static let arguments = ArgumentsSpecification(
    positionals: [
      Positional("MODEL", help: "A preset, such as llama-3-70b, or a configuration file in YAML.")
    ],
    options: [
      .value("set", "KEY=VALUE", repeated: true, help: "Override one value, as in model.layers=6."),
      .value(
        "hardware", "NAME", default: "H100-80GB",
        help: NamedHardware.help),
      .value("devices", "N", .integer(1...1_048_576), help: "All devices; one node when not given."),
      .value(
        "batch-tokens", "N", default: "4M", help: "Tokens of a step, as in 4194304 or 4M (of 2^20)."),
      .value(
        "sequence-length", "N", .integer(1...16_777_216), help: "Tokens of a sequence; 4096 when not given."),
      .value(
        "precision", "P", .choice(["bf16", "bf16-fp32-gradients", "fp16", "fp8", "fp32"]),
        help: "Number format; bf16, or fp32 on this machine, when not given."),
    ] + ExpertOptions.options + [
      .value("margin", "PERCENT", .number, default: "5", help: "Of the memory that must stay free."),
      .value("top", "N", .integer(1...1000), default: "10", help: "Layouts to list."),
      .value("svg", "FILE", help: "Write the best layout's pipeline schedule as a picture."),
      .value("trace", "FILE", help: "Write it as a trace for Perfetto (ui.perfetto.dev)."),
      .flag("json", help: "Print one JSON object."),
    ])

  static func run(_ arguments: ParsedArguments) throws {
    let request = try PlannedJob.request(arguments)
    let recipe = try recipe(request)
    let search = PlanSearch(request)
    guard search.choiceCount > 0 else {
      throw UsageError(
        "no layout of data x tensor x context x pipeline shares \(request.samples.grouped) sequences evenly among "
          + "\(request.devices.grouped) devices; change --devices or --batch-tokens")
    }
    let text = PlanText(request, recipe, search, title: arguments.required("MODEL"))
    if arguments.flag("json") {
      try StandardOutput.write(json: text.output(top: arguments.integer("top") ?? 10))
    } else {
      try StandardOutput.write(text.text(top: arguments.integer("top") ?? 10))
    }
    guard let best = search.best else { throw ExitStatus(code: 1) }
    try drawSchedule(arguments, request.job(best.choice))
  }

  /// The recipe on one device: the largest micro-batch whose model states and activations fit there, everything that
  /// data parallelism can shard being shared out. A model that does not fit so is left to the search.
  private static func recipe(_ request: PlanRequest) throws -> BatchRecipe {
    let recipe = Result { try recipeOfOneDevice(request) }
    guard case .failure(let error) = recipe,
      case .indivisibleBatch(let samples, let devices, _, let nearest)? = error as? ForesightError
    else { return try recipe.get() }
    // Fewer replicas than devices: the search divides the model over the rest.
    guard samples < devices else {
      throw ForesightError.indivisibleBatch(
        samples: samples, by: devices, as: "data-parallel degree", nearest: nearest)
    }
    let replica = (1...devices).first { devices.isMultiple(of: $0) && samples.isMultiple(of: devices / $0) }
    return try BatchRecipe(
      tokens: request.globalBatchTokens, sequenceLength: request.sequenceLength, devices: devices,
      devicesOfReplica: replica ?? devices, fits: { _ in false })
  }

  private static func recipeOfOneDevice(_ request: PlanRequest) throws -> BatchRecipe {
    let simulator = StepSimulator()
    let isSharded = request.devices > 1
    return try BatchRecipe(
      tokens: request.globalBatchTokens, sequenceLength: request.sequenceLength, devices: request.devices
    ) { microBatch in
      let choice = PlanRequest.Choice(
        data: request.devices, tensor: 1, context: 1, pipeline: 1, schedule: .oneForwardOneBackward,
        zeroStage: isSharded ? 1 : 0, shardDegree: request.devices, recomputation: .none,
        microBatch: microBatch)
      return simulator.memory(of: request.job(choice)).devicePeak <= request.usableBytes
    }
  }

  private static func drawSchedule(_ arguments: ParsedArguments, _ job: TrainingJob) throws {
    guard arguments.text("svg") != nil || arguments.text("trace") != nil else { return }
    let orders = try job.layout.schedule.orders(
      devices: job.layout.pipeline, microbatches: job.layout.microbatches)
    let table = try orders.play(StepSimulator().play(job).times)
    let timeline = Timeline(
      table, of: orders, title: "\(arguments.required("MODEL")): \(job.layout.schedule.words)", unit: .seconds
    )
    if let path = arguments.text("svg") {
      try OutputPlace(path, .file(named: "schedule.svg")).write(Array(GanttSVG(timeline).description.utf8))
    }
    if let path = arguments.text("trace") {
      try OutputPlace(path, .file(named: "trace.json")).write(Array(TimelineTrace(timeline).description.utf8))
    }
  }
}
