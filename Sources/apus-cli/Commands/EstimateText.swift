import ApusCore
import ApusForesight
import ApusModels
import ApusProgram
import ApusReport

/// The tables that `apus estimate` prints for people.
enum EstimateText {
  static func text(
    _ estimate: MemoryEstimate, _ fit: MemoryFit, _ policies: RecomputationComparison, _ job: EstimatedJob
  ) -> String {
    [
      heading(estimate, job), parameters(estimate), bytes(estimate), exchanges(estimate), peaks(estimate),
      saved(estimate),
      RecomputationText.text(policies, job), largest(estimate), flops(estimate), verdict(estimate, fit),
    ].filter { !$0.isEmpty }.joined(separator: "\n")
  }

  private static func heading(_ estimate: MemoryEstimate, _ job: EstimatedJob) -> String {
    let (model, settings) = (estimate.model, estimate.settings)
    return """
      \(job.title): \(model.family.rawValue), \(model.layerCount) layers, hidden size \(model.hiddenSize), \
      \(model.headCount) heads (\(model.keyValueHeadCount) key-value), vocabulary \(model.vocabularySize.grouped)
      Step: \(settings.microBatchSize) sequences of \(settings.sequenceLength) tokens a micro-batch, \
      \(estimate.accumulation) micro-batch\(estimate.accumulation == 1 ? "" : "es") a step, \(estimate.tokensOfStep.grouped) tokens; \(settings.precision.name), \
      CPU workspace for \(job.threads) threads\(ranks(settings.layout))

      """
  }

  /// A line on the ranks; nothing for one.
  private static func ranks(_ layout: ParallelLayout) -> String {
    guard layout.worldSize > 1 else { return "" }
    var text = "data \(layout.data)"
    if layout.data > 1, layout.zeroStage > 0 {
      text += " with ZeRO-\(layout.zeroStage)"
      if let degree = layout.shardDegree { text += " in groups of \(degree)" }
    }
    text += " x tensor \(layout.tensor)" + (layout.sequenceParallel ? " with sequence parallelism" : "")
    return "\nRanks: \(layout.worldSize), \(text); memory, communication and threads are those of each rank"
  }

  /// What a rank exchanges in a step; nothing for one.
  private static func exchanges(_ estimate: MemoryEstimate) -> String {
    let exchanges = estimate.exchanges
    guard !exchanges.isEmpty else { return "" }
    var table = TextTable([
      .text("communication of a step"), .text("primitive"), .number("calls"), .number("buffers"),
      .number("bytes sent"),
    ])
    for (axis, kind, volume) in exchanges {
      table.add([
        "along \(axis.rawValue)", kind.rawValue, "\(volume.calls)",
        ByteCount(volume.payloadBytes).description,
        Int(volume.ringBytes.rounded()).grouped,
      ])
    }
    return table.description
  }

  private static func parameters(_ estimate: MemoryEstimate) -> String {
    let comparison = estimate.parameters
    var table = TextTable([.text("parameters"), .number("count")])
    table.add(["enumerated from the program's tensors", comparison.enumerated.grouped])
    table.add(["formula h v + L (12 h² + 13 h) + 2 h", comparison.formula.grouped])
    for deviation in comparison.deviations { table.add(["  " + deviation.reason, signed(deviation.count)]) }
    return table.description
  }

  private static func bytes(_ estimate: MemoryEstimate) -> String {
    var table = TextTable([.text("memory"), .number("size"), .number("bytes"), .text("")])
    func add(_ name: String, _ size: ByteCount, _ note: String = "") {
      table.add([name, size.description, size.bytes.grouped, note])
    }
    let (precision, layout) = (estimate.settings.precision, estimate.settings.layout)
    let shards = estimate.program.mesh.degree(of: .shard)
    /// Of what ZeRO divides from a stage on.
    func share(_ stage: Int) -> String {
      shards > 1 && layout.zeroStage >= stage ? ", divided by \(shards)" : ""
    }
    add(
      "parameters", estimate.byteCount(of: .parameter),
      "\(precision.compute.byteCount) a parameter" + share(3))
    add(
      "gradients", estimate.byteCount(of: .gradient),
      "\(precision.gradients.byteCount) a parameter"
        + (estimate.program.accumulates ? ", summed over micro-batches" : "") + share(2))
    add(
      "optimizer states", estimate.byteCount(of: .optimizerState),
      (precision.hasMasterWeights
        ? "12 a parameter, master weights and AdamW's moments" : "8 a parameter, AdamW's moments") + share(1))
    add("activations", estimate.byteCount(of: .activation), "alive at the fullest instruction")
    let gathered = estimate.byteCount(of: .communication)
    if gathered.bytes > 0 { add("communication", gathered, "buffers of collectives alive there") }
    add("workspace", estimate.byteCount(of: .workspace), "scratch of that instruction")
    if estimate.sharedByGradients.bytes > 0 {
      table.add([
        "shared", "-\(estimate.sharedByGradients)", "-\(estimate.sharedByGradients.bytes.grouped)",
        "gradients computed where activations were",
      ])
    }
    add("inputs", estimate.byteCount(of: .input))
    add("results", estimate.byteCount(of: .result))
    add("alignment", estimate.alignmentBytes, "tensors start at multiples of \(MemoryPlan.alignment)")
    add("packing", estimate.packingBytes, "lost between activations")
    add("planned", estimate.planned)
    add("lower bound", estimate.lowerBound, "waste \((100 * estimate.plan.waste).formatted(decimals: 3)) %")
    return table.description
  }

  private static func peaks(_ estimate: MemoryEstimate) -> String {
    let growing = estimate.growingAllocator
    var table = TextTable([.text("peak"), .number("Apus"), .number("growing allocator")])
    table.add([
      "step 1, forward and backward", estimate.peakOfFirstStep.description, growing.firstPassPeak.description,
    ])
    table.add([
      "step 1, optimizer", estimate.peakOfFirstStep.description, growing.optimizerStep.description,
    ])
    table.add(["later steps", estimate.peakOfLaterSteps.description, growing.laterPassPeak.description])
    table.add(["saving", estimate.peakOfSaving.description, ""])
    return table.description + """
      Apus checks and maps the whole plan before step 1, optimizer states included: later steps need no more.
      Saving streams from the plan; published files pass through a buffer of \(MemoryEstimate.savingBuffer).

      """
  }

  private static func saved(_ estimate: MemoryEstimate) -> String {
    let kept = estimate.savedActivations
    var table = TextTable([
      .text("kept for backward by a layer"), .text("shape"), .number("size"), .text("read by"),
    ])
    for item in kept.layers.first ?? [] { table.add(row(item)) }
    table.add(["one layer", "", kept.bytesOfLayer.description, ""])
    for item in kept.others { table.add(row(item)) }
    table.add(["all \(kept.layers.count) layers and the rest", "", kept.bytes.description, ""])
    return table.description
  }

  private static func row(_ item: SavedActivations.Item) -> [String] {
    [
      item.name, "[\(item.rows), \(item.columns)]", item.size.description,
      item.readers.joined(separator: ", "),
    ]
  }

  private static func largest(_ estimate: MemoryEstimate) -> String {
    var table = TextTable([.text("largest tensors"), .text("role"), .number("size"), .number("count")])
    for group in estimate.largestTensors(8) {
      table.add([group.name, group.role.rawValue, group.size.description, "\(group.count)"])
    }
    return table.description
  }

  private static func flops(_ estimate: MemoryEstimate) -> String {
    let flops = estimate.flops
    var table = TextTable([.text("matrix FLOPs"), .number("a token"), .number("a step")])
    func add(_ name: String, _ ofSequence: Int) {
      let ofToken = Double(ofSequence) / Double(flops.sequenceLength)
      table.add([
        name, Int(ofToken.rounded()).grouped, scientific(estimate.perStep(ofSequence)),
      ])
    }
    add("forward", flops.forward)
    add("backward, head and loss included", flops.backward)
    add("counted in the program", flops.counted)
    add("formula 6 (N - positions) + 6 L w s", flops.formula)
    for deviation in flops.deviationsPerToken {
      table.add(["  " + deviation.reason, signed(deviation.count), ""])
    }
    let difference = 100 * (Double(flops.counted) / Double(flops.formula) - 1)
    return table.description + "Counted differs from the formula by \(difference.formatted(decimals: 2)) %.\n"
  }

  private static func verdict(_ estimate: MemoryEstimate, _ fit: MemoryFit) -> String {
    let sizes = "\(fit.needed) needed, \(fit.available) available"
    switch fit.remedy {
    case .none(let largest):
      return "Fits: \(sizes). The largest micro-batch that fits has \(largest) sequences.\n"
    case .microBatch(let largest):
      let batch = estimate.sequencesOfStep
      let divisor = (1...largest).last { batch.isMultiple(of: $0) } ?? 1
      return "Does not fit: \(sizes). The largest micro-batch that fits has \(largest) sequences; "
        + "--set training.micro_batch_size=\(divisor) --set training.gradient_accumulation="
        + "\(batch / divisor) keeps the batch of \(batch).\n" + growingVerdict(estimate, fit)
    case .sequenceLength(let length):
      return "Does not fit: \(sizes). One sequence fits up to \(length) tokens: use "
        + "--micro-batch 1 --sequence-length \(length).\n" + growingVerdict(estimate, fit)
    case .smallerModel(let persistent):
      let kept = estimate.program.keptText
      return "Does not fit: \(sizes). \(kept.prefix(1).uppercased())\(kept.dropFirst()) alone take \(persistent): "
        + "use a smaller model or more memory.\n" + growingVerdict(estimate, fit)
    }
  }

  /// What an allocator that grows would do with the same memory (S8).
  private static func growingVerdict(_ estimate: MemoryEstimate, _ fit: MemoryFit) -> String {
    switch estimate.growingAllocator.verdict(capacity: fit.available) {
    case .fits: ""
    case .failsAtFirstPass(let missing):
      "On an allocator that grows it fails in step 1's forward and backward, \(missing) short of the whole run.\n"
    case .failsAtFirstUpdate(let missing):
      "On an allocator that grows it passes step 1's forward and backward and fails in its update, which brings "
        + "the optimizer states, \(missing) short of the whole run; Apus refuses before step 1.\n"
    case .failsFromSecondStep(let missing):
      "On an allocator that grows it fits step 1, fails from step 2, \(missing) short; Apus refuses before "
        + "step 1.\n"
    }
  }

  static func signed(_ count: Int) -> String { (count > 0 ? "+" : "") + count.grouped }

  /// `8.18e12`
  static func scientific(_ value: Double) -> String {
    var (mantissa, exponent) = (value, 0)
    while mantissa >= 9.9995 {
      mantissa /= 10
      exponent += 1
    }
    return "\(mantissa.formatted(decimals: 3))e\(exponent)"
  }
}
