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
        help: "Memory to fit in, instead of what this machine has free."),
      .flag("closed-forms", help: "Add the published formulas for model states and activations."),
      .flag("json", help: "Print one JSON object."),
    ])

  static func run(_ arguments: ParsedArguments) throws {
    let job = try EstimatedJob(arguments)
    // Nothing of the catalogue survives an instruction, so one serves every candidate of the search.
    let catalogue = CPUCatalogue(threads: job.threads)
    let estimate = try MemoryEstimate(
      job.shape, job.settings, accumulation: job.accumulation, workspace: catalogue.workspace)
    let available = arguments.integer("available") ?? AvailableMemory.byteCount()
    let fit = MemoryFit(estimate, available: ByteCount(available), workspace: catalogue.workspace)
    let forms = arguments.flag("closed-forms") ? ClosedForms(estimate) : nil
    let policies = RecomputationComparison(job.shape, job.settings, workspace: catalogue.workspace)
    if arguments.flag("json") {
      let encoder = JSONEncoder()
      encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
      let output = EstimateOutput(
        summary: EstimateSummary(estimate, fit, model: job.title), policies: policies, closedForms: forms)
      try print(String(decoding: try encoder.encode(output), as: UTF8.self))
    } else {
      try print(EstimateText.text(estimate, fit, policies, job), terminator: "")
      if let forms { try print("\n" + forms.text, terminator: "") }
    }
  }
}

/// The summary's keys, `recomputation` with a policy's figures each, and `closed_forms` when asked for.
private struct EstimateOutput: Encodable {
  let summary: EstimateSummary
  let policies: RecomputationComparison
  let closedForms: ClosedForms?

  enum CodingKeys: String, CodingKey {
    case recomputation
    case closedForms = "closed_forms"
  }

  private struct Policy: Encodable {
    let plannedBytes: Int
    let transientBytes: Int
    let extraFlopsShare: Double

    enum CodingKeys: String, CodingKey {
      case plannedBytes = "planned_bytes"
      case transientBytes = "transient_bytes"
      case extraFlopsShare = "extra_flops_share"
    }
  }

  func encode(to encoder: any Encoder) throws {
    try summary.encode(to: encoder)
    var container = encoder.container(keyedBy: CodingKeys.self)
    let rows = policies.rows.map { row in
      let figures = Policy(
        plannedBytes: row.planned.bytes, transientBytes: row.transient.bytes, extraFlopsShare: row.extraFLOPs)
      return (row.policy.rawValue, figures)
    }
    try container.encode(Dictionary(uniqueKeysWithValues: rows), forKey: .recomputation)
    try container.encodeIfPresent(closedForms, forKey: .closedForms)
  }
}
