import ApusModels

/// A published rule for choosing a layout (domain reference B7), and what following it costs here.
package struct RuleOfThumb: Hashable, Sendable {
  package enum Outcome: Hashable, Sendable {
    /// The best layout found obeys it.
    case agrees
    /// The best layout that obeys it is slower by this share.
    case costs(Double)
    /// Nothing that obeys it fits.
    case doesNotFit
  }

  package let rule: String
  package let outcome: Outcome

  /// The rules that speak about a model and cluster of this size, checked.
  package static func check(_ search: PlanSearch) -> [RuleOfThumb] {
    let request = search.request
    let parameters = Double(request.parameterCount)
    let node = request.hardware.devicesPerNode
    typealias Choice = PlanRequest.Choice
    var rules: [(String, (Choice) -> Bool)] = [
      ("tensor parallelism inside a node only", { $0.tensor * $0.context <= node || $0.context > 1 })
    ]
    if parameters < 10e9, request.devices <= node {
      rules.append(
        (
          "below 10B on one node: a single technique, tensor parallel or ZeRO-3",
          { ($0.tensor > 1 && $0.data == 1 && $0.pipeline == 1) || ($0.tensor == 1 && $0.pipeline == 1) }
        ))
    }
    if (10e9..<100e9).contains(parameters) {
      rules.append(
        (
          "10B to 100B: tensor 8 with a pipeline, tensor 8 with ZeRO-3, or ZeRO-3 alone",
          {
            ($0.tensor == 8 && ($0.pipeline > 1 || $0.zeroStage == 3))
              || ($0.tensor == 1 && $0.pipeline == 1 && $0.zeroStage == 3)
          }
        ))
    }
    if request.devices >= 512 {
      rules.append(
        (
          "512 devices and more: data parallelism joined with tensor or pipeline",
          { $0.tensor > 1 || $0.pipeline > 1 }
        ))
    }
    if request.devices >= 1024, parameters >= 10e9 {
      rules.append(
        (
          "1024 devices and more: tensor 8, data with sharded optimizer, pipeline",
          { $0.tensor == min(8, node) && $0.pipeline > 1 && $0.zeroStage >= 1 }
        ))
    }
    if request.sequenceLength >= 32_768 {
      rules.append(("long sequences: context parallel across nodes", { $0.context > 1 }))
    }
    rules.append(("no ZeRO-3 under a pipeline", { $0.pipeline == 1 || $0.zeroStage < 3 }))
    return rules.map { RuleOfThumb(rule: $0.0, outcome: outcome(search, $0.1)) }
  }

  private static func outcome(_ search: PlanSearch, _ obeys: (PlanRequest.Choice) -> Bool) -> Outcome {
    guard let best = search.best, let follower = search.entries.first(where: { obeys($0.choice) }) else {
      return .doesNotFit
    }
    let cost = follower.forecast.stepSeconds / best.forecast.stepSeconds - 1
    return follower.choice == best.choice || cost <= 0 ? .agrees : .costs(cost)
  }
}
