/// A stretch of steps at the start of a training with a smaller global batch than the rest: early gradients point
/// the same way anyway, so small batches lose nothing and take more steps (McCandlish et al. 2018; S4).
public struct BatchStage: Hashable, Sendable, Codable {
  /// The last step of the stage, counted from 1.
  public var untilStep: Int
  /// Samples of its steps on all replicas.
  public var globalBatchSize: Int

  public init(untilStep: Int, globalBatchSize: Int) {
    self.untilStep = untilStep
    self.globalBatchSize = globalBatchSize
  }
}

extension BatchStage {
  static let key = "batch_ramp"

  /// Reads `training.batch_ramp`: a list of mappings, each with `until_step` or `until_tokens` and
  /// `global_batch_size` or `global_batch_tokens`. An end in tokens is rounded up to a whole step.
  ///
  /// - Parameters:
  ///   - batch: the batch behind the ramp, whose micro-batch all stages share; nil where it has problems.
  ///   - sequenceLength: nil where it has problems.
  static func read(
    in reader: inout SectionReader, _ batch: BatchPlan?, _ sequenceLength: Int?
  ) -> [BatchStage] {
    guard let node = reader.node(key) else { return [] }
    guard case .list(let items) = node.content, !items.isEmpty else {
      reader.reportType(node, key, "a list such as [{until_step: 100, global_batch_size: 8}]")
      return []
    }
    var stages: [BatchStage] = []
    var tokens = 0
    for (index, item) in items.enumerated() {
      var nested = SectionReader(
        path: "\(reader.dotted(key))[\(index)]", node: item, file: item.place.file ?? "")
      let before = stages.last?.untilStep ?? 0
      let size = readSize(in: &nested, batch, sequenceLength)
      let end = readEnd(
        in: &nested, before, tokens, size.flatMap { size in sequenceLength.map { size * $0 } })
      nested.reportUnknownKeys()
      reader.absorb(nested, under: key)
      guard let size, let end, let sequenceLength else { continue }
      stages.append(BatchStage(untilStep: end, globalBatchSize: size))
      tokens += (end - before) * size * sequenceLength
    }
    return reader.isGood(key) ? stages : []
  }

  private static func readSize(
    in reader: inout SectionReader, _ batch: BatchPlan?, _ sequenceLength: Int?
  ) -> Int? {
    let samples = reader.integer("global_batch_size", 1...BatchPlan.largest)
    let tokens = reader.integer("global_batch_tokens", 1...BatchPlan.largest)
    if reader.has("global_batch_size"), reader.has("global_batch_tokens") {
      reader.report("global_batch_tokens", "says the same as global_batch_size", "remove one of the two")
      return nil
    }
    if !reader.has("global_batch_size"), !reader.has("global_batch_tokens") {
      reader.report("global_batch_size", "is missing, and so is global_batch_tokens", "write one of them")
    }
    guard let batch, let sequenceLength else { return nil }
    let (key, value, unit) =
      samples != nil
      ? ("global_batch_size", samples, 1) : ("global_batch_tokens", tokens, sequenceLength)
    guard let value else { return nil }
    let step = batch.microBatchSize * batch.dataParallelDegree * unit
    guard value.isMultiple(of: step) else {
      let (below, above) = multiples(of: step, around: value)
      reader.report(
        key,
        "\(value) is no multiple of \(step), micro-batch \(batch.microBatchSize) x "
          + "\(batch.dataParallelDegree) replicas" + (unit > 1 ? " x \(unit) tokens" : ""),
        below > 0 ? "use \(below) or \(above)" : "use \(above)")
      return nil
    }
    return value / unit
  }

  private static func readEnd(
    in reader: inout SectionReader, _ before: Int, _ tokensBefore: Int, _ tokensOfStep: Int?
  ) -> Int? {
    let step = reader.integer("until_step", 1...1_000_000_000)
    let tokens = reader.integer("until_tokens", 1...BatchPlan.largest)
    if reader.has("until_step"), reader.has("until_tokens") {
      reader.report("until_tokens", "says the same as until_step", "remove one of the two")
      return nil
    }
    if !reader.has("until_step"), !reader.has("until_tokens") {
      reader.report("until_step", "is missing, and so is until_tokens", "write one of them")
    }
    let end: Int
    if let step {
      end = step
    } else if let tokens, let tokensOfStep {
      end = before + max(0, tokens - tokensBefore + tokensOfStep - 1) / tokensOfStep
    } else {
      return nil
    }
    guard end > before else {
      reader.report(
        step != nil ? "until_step" : "until_tokens",
        "the stage has no step: the one before ends at step \(before)",
        "let each stage end later than the one before")
      return nil
    }
    return end
  }
}

extension TrainingSection {
  /// The most micro-batches of a replica in any step.
  package var largestAccumulation: Int {
    let replicas = max(1, globalBatchSize / (microBatchSize * gradientAccumulation))
    return batchRamp.reduce(gradientAccumulation) {
      max($0, $1.globalBatchSize / (microBatchSize * replicas))
    }
  }

  /// Tokens of the first `step` steps on all replicas.
  public func tokens(throughStep step: Int) -> Int {
    var (samples, before) = (0, 0)
    for stage in batchRamp where before < step {
      samples += (min(stage.untilStep, step) - before) * stage.globalBatchSize
      before = stage.untilStep
    }
    return (samples + max(0, step - before) * globalBatchSize) * sequenceLength
  }
}
