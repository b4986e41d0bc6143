import ApusCore
import ApusForesight
import ApusModels
import ApusReport

/// What `apus plan` says, for people and as JSON.
struct PlanText {
  private let request: PlanRequest
  private let recipe: BatchRecipe
  private let search: PlanSearch
  private let title: String

  init(_ request: PlanRequest, _ recipe: BatchRecipe, _ search: PlanSearch, title: String) {
    self.request = request
    self.recipe = recipe
    self.search = search
    self.title = title
  }

  func text(top: Int) -> String {
    var parts = [heading, recipe.steps.joined(separator: "\n") + "\n", searched]
    guard let best = search.best else {
      return (parts + [families, "Nothing fits: use more devices, a shorter sequence or a smaller model.\n"])
        .joined(separator: "\n")
    }
    parts += [list(search.topLayouts(top)), breakdown(best), neighbours, families, rules, paste(best)]
    return parts.joined(separator: "\n")
  }

  private var heading: String {
    let parameters = Double(request.parameterCount) / 1e9
    return """
      \(title), \(parameters.formatted(decimals: 2))B parameters, on \(request.devices.grouped) x \
      \(request.hardware.name) (\(ByteCount(Int(request.hardware.memoryBytes))) each, \
      \(request.hardware.devicesPerNode) a node)

      """
  }

  private var searched: String {
    """
    \(search.choiceCount.grouped) choices of data x tensor x context x pipeline and schedule x ZeRO x recomputation x \
    micro-batch: \(search.entries.count.grouped) fit
    Sequence parallelism goes with tensor parallelism; \(experts)

    """
  }

  private var experts: String {
    guard let experts = request.experts else { return "the model has no experts, so the expert degree is 1." }
    return
      "a token visits \(experts.active) of \(experts.count) experts; those are shared out along the data axis."
  }

  private func list(_ entries: [PlanSearch.Entry]) -> String {
    var table = TextTable([
      .number(""), .number("data"), .number("tensor"), .number("context"), .number("expert"),
      .number("pipeline"), .text("schedule"), .text("sharded"), .number("micro-batch"), .number("accum."),
      .text("recompute"),
      .number("step"), .number("tokens/s/device"), .number("MFU %"), .number("memory"), .number("margin"),
    ])
    for (index, entry) in entries.enumerated() {
      let (c, f) = (entry.choice, entry.forecast)
      let sharded =
        c.zeroStage == 0 ? "" : "ZeRO-\(c.zeroStage)" + (c.shardDegree < c.data ? " / \(c.shardDegree)" : "")
      table.add([
        "\(index + 1)", "\(c.data)", "\(c.tensor)", "\(c.context)", "\(c.expert)", "\(c.pipeline)",
        c.pipeline > 1 ? c.schedule.words : "", sharded, "\(c.microBatch)",
        "\(request.samples / c.data / c.microBatch)", c.recomputation == .none ? "" : c.recomputation.word,
        DurationWords.text(f.stepSeconds), Int(f.tokensPerSecondPerDevice).grouped,
        (100 * f.utilizationCausal).formatted(decimals: 1), ByteCount(Int(f.memory.devicePeak)).description,
        margin(entry),
      ])
    }
    return table.description
      + "MFU counts causal attention as half; memory is the fullest device's, runtime included.\n"
  }

  private func margin(_ entry: PlanSearch.Entry) -> String {
    let free = request.hardware.memoryBytes - entry.forecast.memory.devicePeak
    return "\((100 * free / request.hardware.memoryBytes).formatted(decimals: 1)) %"
  }

  private func breakdown(_ best: PlanSearch.Entry) -> String {
    let (f, memory) = (best.forecast, best.forecast.memory)
    var table = TextTable([.text("the best: time"), .number("step"), .number("share")])
    for part in f.parts where part.seconds > 0 {
      table.add([
        part.name, DurationWords.text(part.seconds),
        "\((100 * part.seconds / f.stepSeconds).formatted(decimals: 1)) %",
      ])
    }
    table.add(["step", DurationWords.text(f.stepSeconds), ""])
    var bytes = TextTable([.text("memory, stage \(memory.stage)"), .number("size")])
    for (name, size) in [
      ("parameters", memory.parameters), ("gradients", memory.gradients),
      ("optimizer states", memory.optimizer),
      ("activations", memory.activations), ("temporaries", memory.temporary),
      ("peak of step 1", memory.firstPeak), ("peak of later steps", memory.allocatedPeak),
      ("held by the allocator", memory.reservedPeak), ("on the device", memory.devicePeak),
    ] { bytes.add([name, ByteCount(Int(size)).description]) }
    return table.description + "\n" + bytes.description
  }

  private var neighbours: String {
    var table = TextTable([.text("one step away"), .number("slower"), .text("why")])
    for neighbour in search.neighbours {
      table.add([
        neighbour.change, neighbour.slower.map { "\((100 * $0).formatted(decimals: 1)) %" } ?? "",
        neighbour.reason,
      ])
    }
    return table.description
  }

  private var families: String {
    var table = TextTable([
      .text("family"), .number("choices"), .number("slower"), .text("its best, or why not"),
    ])
    for family in search.families {
      switch family.standing {
      case .fits(let entry):
        let slower = search.best.map { entry.forecast.stepSeconds / $0.forecast.stepSeconds - 1 } ?? 0
        table.add([
          family.name, family.count.grouped, "\((100 * slower).formatted(decimals: 1)) %",
          slower == 0
            ? "the best" : search.best.map { PlanSearch.reason(entry.forecast, than: $0.forecast) } ?? "",
        ])
      case .rejected(let verdict, let choice):
        table.add([
          family.name, family.count.grouped, "",
          "\(verdict), at the least (\(words(choice)))",
        ])
      }
    }
    return table.description
  }

  private func words(_ c: PlanRequest.Choice) -> String {
    var parts = ["data \(c.data)"]
    for (name, degree) in [
      ("tensor", c.tensor), ("context", c.context), ("expert", c.expert), ("pipeline", c.pipeline),
    ]
    where degree > 1 {
      parts.append("\(name) \(degree)")
    }
    parts.append("micro-batch \(c.microBatch)")
    if c.recomputation != .none { parts.append("\(c.recomputation.word) recomputation") }
    return parts.joined(separator: ", ")
  }

  private var rules: String {
    var table = TextTable([.text("rule of thumb"), .text("here")])
    for rule in RuleOfThumb.check(search) {
      let words: String
      switch rule.outcome {
      case .agrees: words = "the best obeys it"
      case .costs(let share): words = "costs \((100 * share).formatted(decimals: 1)) %"
      case .doesNotFit: words = "nothing that obeys it fits"
      }
      table.add([rule.rule, words])
    }
    return table.description
  }

  private func paste(_ best: PlanSearch.Entry) -> String {
    "Paste into a configuration:\n\n\(request.yaml(best.choice))"
  }

  // MARK: JSON

  struct Output: Encodable {
    struct Layout: Encodable {
      let data, tensor, context, pipeline, expert, zeroStage, shardDegree, microBatch, accumulation: Int
      let schedule, recomputation: String
      let stepSeconds, tokensPerSecondPerDevice, mfuCausal, mfuFull: Double
      let time, memoryBytes: [String: Double]
      let marginBytes: Double
    }

    struct Family: Encodable {
      let name: String
      let choices: Int
      let slower: Double?
      let rejected: String?
    }

    struct Neighbour: Encodable {
      let change, reason: String
      let slower: Double?
    }

    let recipe: [String]
    let choices, fitting: Int
    let layouts: [Layout]
    let families: [Family]
    let neighbours: [Neighbour]
    let rules: [String: String]
    let configuration: String?
  }

  func output(top: Int) -> Output {
    Output(
      recipe: recipe.steps, choices: search.choiceCount, fitting: search.entries.count,
      layouts: search.topLayouts(top).map(layout),
      families: search.families.map { family in
        switch family.standing {
        case .fits(let entry):
          Output.Family(
            name: family.name, choices: family.count,
            slower: search.best.map { entry.forecast.stepSeconds / $0.forecast.stepSeconds - 1 },
            rejected: nil)
        case .rejected(let verdict, _):
          Output.Family(name: family.name, choices: family.count, slower: nil, rejected: verdict.description)
        }
      },
      neighbours: search.neighbours.map {
        Output.Neighbour(change: $0.change, reason: $0.reason, slower: $0.slower)
      },
      rules: Dictionary(
        RuleOfThumb.check(search).map { ($0.rule, "\($0.outcome)") }, uniquingKeysWith: { first, _ in first }),
      configuration: search.best.map { request.yaml($0.choice) })
  }

  private func layout(_ entry: PlanSearch.Entry) -> Output.Layout {
    let (c, f) = (entry.choice, entry.forecast)
    let memory = [
      "parameters": f.memory.parameters, "gradients": f.memory.gradients, "optimizer": f.memory.optimizer,
      "activations": f.memory.activations, "temporaries": f.memory.temporary,
      "first_step_peak": f.memory.firstPeak, "later_steps_peak": f.memory.allocatedPeak,
      "device_peak": f.memory.devicePeak,
    ]
    return Output.Layout(
      data: c.data, tensor: c.tensor, context: c.context, pipeline: c.pipeline, expert: c.expert,
      zeroStage: c.zeroStage, shardDegree: c.shardDegree, microBatch: c.microBatch,
      accumulation: request.samples / c.data / c.microBatch, schedule: c.schedule.name,
      recomputation: c.recomputation.word, stepSeconds: f.stepSeconds,
      tokensPerSecondPerDevice: f.tokensPerSecondPerDevice, mfuCausal: f.utilizationCausal,
      mfuFull: f.utilizationFull,
      time: Dictionary(uniqueKeysWithValues: f.parts.map { ($0.name, $0.seconds) }),
      memoryBytes: memory, marginBytes: request.hardware.memoryBytes - f.memory.devicePeak)
  }
}
