import ApusConfiguration
import ApusCore
import ApusForesight
import ApusModels
import ApusProgram
import ApusRuntime
import Foundation

/// `apus estimate`: what a training takes, before anything runs.
enum EstimateCommand: Command {
  static let name = "estimate"
  static let summary = "Tell memory and FLOPs of a training, and whether it fits this machine."
  static let arguments = ArgumentsSpecification(
    positionals: [Positional("MODEL", help: "A preset, such as gpt2-124m, or a configuration file in YAML.")],
    options: [
      .value("set", "KEY=VALUE", repeated: true, help: "Override one value, as in model.layers=6."),
      .value("micro-batch", "N", .integer(1...1_048_576), help: "Sequences of a micro-batch."),
      .value("sequence-length", "N", .integer(1...16_777_216), help: "Tokens of a sequence."),
      .value(
        "available", "BYTES", .integer(1...Int.max),
        help: "Memory of each rank, instead of its part of what this machine has free."),
      .value("capacity", "SIZE", help: "The same as a size, such as 80 GiB: a device that is not here."),
      .flag("closed-forms", help: "Add the published formulas for model states and activations."),
      .flag(
        "calculators",
        help: "Add typical scales, when communication hides behind computation, and the memory widget."),
      .value(
        "peak", "TFLOPS", .number, default: "989",
        help: "Of a device, for --calculators; the default is an H100's in bf16."),
      .value(
        "bandwidth", "GB/S", .number, default: "435.97",
        help: "Bus bandwidth of a collective, for --calculators; the default is measured on 8 H100."),
      .value("degree", "N", .integer(2...65_536), default: "8", help: "Of each axis, for --calculators."),
      .value(
        "element-bytes", "N", .integer(1...4), default: "2",
        help: "Of what is sent, for --calculators; published ratios take 1."),
      .flag("allocator", help: "Add the step on a caching allocator, as PyTorch's: allocated and reserved."),
      .flag("json", help: "Print one JSON object."),
    ])

  static func run(_ arguments: ParsedArguments) throws {
    let job = try EstimatedJob(arguments)
    // Nothing of the catalogue survives an instruction, so one serves every candidate of the search.
    let catalogue = CPUCatalogue(threads: job.threads)
    let estimate = try MemoryEstimate(
      job.shape, job.settings, accumulation: job.accumulation, workspace: catalogue.workspace)
    let fit = MemoryFit(estimate, available: try memory(arguments, job), workspace: catalogue.workspace)
    let forms = arguments.flag("closed-forms") ? ClosedForms(estimate) : nil
    let calculators = arguments.flag("calculators") ? try calculators(arguments, estimate) : nil
    let allocator =
      arguments.flag("allocator") ? try allocator(arguments, job, estimate, catalogue.workspace) : nil
    let layout =
      job.devices.count > 1
      ? LayoutEstimateText(
        LayoutEstimate(
          job.shape, job.devices, microbatches: job.accumulation, workspace: catalogue.workspace)) : nil
    let policies = RecomputationComparison(job.shape, job.settings, workspace: catalogue.workspace)
    if arguments.flag("json") {
      let encoder = JSONEncoder()
      encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
      let output = EstimateOutput(
        summary: EstimateSummary(estimate, fit, model: job.title), policies: policies, closedForms: forms,
        calculators: calculators, allocator: allocator, layout: layout)
      try print(String(decoding: try encoder.encode(output), as: UTF8.self))
    } else {
      try print(EstimateText.text(estimate, fit, policies, job), terminator: "")
      if let layout { try print("\n" + layout.text, terminator: "") }
      if let forms { try print("\n" + forms.text, terminator: "") }
      if let calculators { try print("\n" + calculators.text, terminator: "") }
      if let allocator { try print("\n" + allocator.text, terminator: "") }
    }
  }
}

extension EstimateCommand {
  private static func calculators(
    _ arguments: ParsedArguments, _ estimate: MemoryEstimate
  ) throws -> EstimateCalculators {
    func positive(_ name: String) throws -> Double {
      guard let value = arguments.number(name), value > 0, value.isFinite else {
        throw UsageError("--\(name) must be a number above 0")
      }
      return value
    }
    let condition = OverlapCondition(
      flopsPerSecond: 1e12 * (try positive("peak")), busBandwidth: 1e9 * (try positive("bandwidth")),
      bytesPerElement: Double(arguments.integer("element-bytes") ?? 2))
    return EstimateCalculators(estimate, condition, degree: arguments.integer("degree") ?? 8)
  }

  /// The device is as large as the memory that was asked for; without a question it is unlimited.
  private static func allocator(
    _ arguments: ParsedArguments, _ job: EstimatedJob, _ estimate: MemoryEstimate,
    _ workspace: @escaping WorkspaceCatalogue
  ) throws -> AllocatorText {
    let isAsked = arguments.text("capacity") != nil || arguments.text("available") != nil
    let replay = AllocationReplay(
      estimate.program, microbatches: min(estimate.accumulation, 4), workspace: workspace,
      capacity: isAsked ? try memory(arguments, job).bytes : .max)
    return AllocatorText(replay, planned: estimate.planned)
  }
  /// The memory that each rank has to fit in: what was asked for, or its part of what is free here.
  private static func memory(_ arguments: ParsedArguments, _ job: EstimatedJob) throws -> ByteCount {
    guard let text = arguments.text("capacity") else {
      return ByteCount(
        arguments.integer("available") ?? AvailableMemory.byteCount() / job.settings.layout.worldSize)
    }
    guard arguments.integer("available") == nil else {
      throw UsageError("--capacity and --available say the same; give one of the two")
    }
    guard let size = ByteCount(text: text) else {
      throw UsageError("--capacity \(text): is no size; write one such as 80 GiB or 80 GB")
    }
    return size
  }
}

/// The summary's keys, `recomputation` with a policy's figures each, and `closed_forms` when asked for.
private struct EstimateOutput: Encodable {
  let summary: EstimateSummary
  let policies: RecomputationComparison
  let closedForms: ClosedForms?
  let calculators: EstimateCalculators?
  let allocator: AllocatorText?
  let layout: LayoutEstimateText?

  enum CodingKeys: String, CodingKey {
    case recomputation
    case ladder = "recomputation_ladder"
    case closedForms = "closed_forms"
    case calculators, allocator, layout
  }

  private struct Policy: Encodable {
    var name: String?
    let plannedBytes: Int
    let transientBytes: Int
    let extraFlopsShare: Double

    init(_ figures: RecomputationComparison.Figures, name: String? = nil) {
      self.name = name
      plannedBytes = figures.planned.bytes
      transientBytes = figures.transient.bytes
      extraFlopsShare = figures.extraFLOPs
    }

    enum CodingKeys: String, CodingKey {
      case name
      case plannedBytes = "planned_bytes"
      case transientBytes = "transient_bytes"
      case extraFlopsShare = "extra_flops_share"
    }
  }

  func encode(to encoder: any Encoder) throws {
    try summary.encode(to: encoder)
    var container = encoder.container(keyedBy: CodingKeys.self)
    var rows = Dictionary(
      uniqueKeysWithValues: policies.rows.map { ($0.policy.rawValue, Policy($0.figures)) })
    if let asked = policies.asked { rows["configured"] = Policy(asked) }
    try container.encode(rows, forKey: .recomputation)
    try container.encode(
      policies.ladder.map { Policy($0.figures, name: $0.rung.name) }, forKey: .ladder)
    try container.encodeIfPresent(closedForms, forKey: .closedForms)
    try container.encodeIfPresent(calculators, forKey: .calculators)
    try container.encodeIfPresent(allocator, forKey: .allocator)
    try container.encodeIfPresent(layout, forKey: .layout)
  }
}
