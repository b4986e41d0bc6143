import ApusCore
import ApusForesight
import ApusModels
import ApusProgram
import ApusReport

/// What `apus estimate` prints about recomputation.
enum RecomputationText {
  static func text(_ comparison: RecomputationComparison, _ job: EstimatedJob) -> String {
    policies(comparison, job) + "\n" + ladder(comparison)
  }

  private static func policies(_ comparison: RecomputationComparison, _ job: EstimatedJob) -> String {
    var table = TextTable([
      .text("recomputation"), .number("planned"), .number("activations, workspace"), .number("extra FLOPs"),
      .text("published"),
    ])
    for row in comparison.rows {
      table.add(
        [row.policy.rawValue] + figures(row.figures) + [published(row.policy, job)])
    }
    if let asked = comparison.asked {
      let name =
        switch job.recomputation {
        case .budget(let bytes): "budget of \(ByteCount(bytes))"
        case .layers(let rules): rules.map { "\($0.policy.rawValue) in \($0.layers)" }.joined(separator: ", ")
        case .policy(let policy): policy.rawValue
        }
      table.add([name] + figures(asked) + [""])
    }
    return table.description
  }

  /// The published figures of this shape (S15, S16), which drop a score matrix that tiled attention never has.
  private static func published(_ policy: RecomputationPolicy, _ job: EstimatedJob) -> String {
    let cost = RecomputationCost(TransformerShape(job.shape), sequenceLength: job.settings.sequenceLength)
    return switch policy {
    case .none: ""
    case .selective:
      "S16: \(cost.selectiveSavedShare.percent()) of activations for +\(cost.selectivePublishedShare.percent()), "
        + "its score matrix included"
    case .full: "S15: +\(RecomputationComparison.publishedFull.percent()), an upper bound"
    }
  }

  private static func ladder(_ comparison: RecomputationComparison) -> String {
    var table = TextTable([
      .text("a budget gives up, in this order"), .number("frees"), .number("FLOPs again"),
      .number("bytes again"), .number("price"), .number("planned"), .number("extra FLOPs"),
      .text("here"),
    ])
    for step in comparison.ladder {
      table.add([
        step.rung.name, ByteCount(step.rung.freed).description,
        step.rung.extra.flops == 0 ? "0" : EstimateText.scientific(Double(step.rung.extra.flops)),
        ByteCount(step.rung.extra.bytes).description, step.rung.price.formatted(decimals: 1),
        step.figures.planned.description, step.figures.extraFLOPs.percent(decimals: 2),
        step.taken.map { "in \($0) of \(step.rung.instructions.count)" } ?? "",
      ])
    }
    return table.description
      + "All layers together; price: bytes of work for each byte freed, "
      + "\(Int(RecomputationLadder.flopsPerByte)) FLOPs counted as a byte; planned: with the lines above.\n"
  }

  private static func figures(_ figures: RecomputationComparison.Figures) -> [String] {
    [figures.planned.description, figures.transient.description, figures.extraFLOPs.percent(decimals: 2)]
  }
}
