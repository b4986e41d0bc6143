import ApusProgram

extension TrainingSection {
  /// What the training section depends on in other sections; nil where those have problems.
  struct Surroundings {
    /// The longest sequence of the model; nil when unknown before a folder is read.
    var maximumSequenceLength: Int?
    /// Layers of the model; nil when unknown before a folder is read.
    var layerCount: Int?
    /// Whether the model has places that drop; nil when unknown before a folder is read.
    var hasDropout: Bool?
    /// The data-parallel degree.
    var replicas: Int?
    /// Whether there is validation data.
    var hasValidation: Bool
  }

  /// More is taken for a slip of the keyboard.
  private static let mostSteps = 1_000_000_000

  init(reading reader: inout SectionReader, _ surroundings: Surroundings) {
    let steps = reader.integer("steps", 1...Self.mostSteps)
    let tokens = reader.integer("tokens", 1...Int.max)
    let sequenceLength = Self.readSequenceLength(in: &reader, surroundings)
    let batch = Self.readBatch(in: &reader, sequenceLength, surroundings)
    let ramp = BatchStage.read(in: &reader, batch, sequenceLength)
    let schedule = reader.choice("schedule", Schedule.self) ?? .cosine
    let rate = reader.number("learning_rate", .positive)
    let minimum = reader.number("minimum_learning_rate", .notNegative)
    let warmup = reader.integer("warmup_steps", 0...Self.mostSteps)
    let resolvedSteps = Self.resolveSteps(steps, tokens, batch, ramp, sequenceLength, in: &reader)
    self.init(
      steps: resolvedSteps ?? 1,
      sequenceLength: sequenceLength ?? 1,
      microBatchSize: batch?.microBatchSize ?? 1,
      gradientAccumulation: batch?.gradientAccumulation ?? 1,
      globalBatchSize: batch?.globalBatchSize,
      batchRamp: ramp,
      learningRate: rate ?? 3e-4,
      minimumLearningRate: minimum,
      warmupSteps: warmup,
      schedule: schedule,
      beta1: reader.number("beta1", .fraction) ?? 0.9,
      beta2: reader.number("beta2", .fraction) ?? 0.95,
      epsilon: reader.number("epsilon", .positive) ?? 1e-8,
      weightDecay: reader.number("weight_decay", .notNegative) ?? 0.1,
      decay: reader.choice("decay", Decay.self) ?? .matrices,
      gradientClip: reader.number("gradient_clip", .notNegative) ?? 1,
      dropout: reader.number("dropout", .fraction) ?? 0,
      seed: reader.integer("seed", 0...Int.max) ?? 1234,
      precision: reader.choice("precision", Precision.self) ?? .fp32,
      gradientPrecision: reader.choice("gradient_precision", GradientPrecision.self) ?? .fp32,
      recomputation: RecomputationRequest(reading: &reader, layerCount: surroundings.layerCount),
      validateEvery: reader.integer("validate_every", 0...Int.max) ?? (surroundings.hasValidation ? 100 : 0),
      validationTokens: reader.integer("validation_tokens", 0...Int.max) ?? max(131_072, sequenceLength ?? 1),
      threads: reader.integer("threads", 0...1024) ?? 0)
    checkPrecision(in: &reader)
    if reader.isGood("dropout"), dropout > 0, surroundings.hasDropout == false {
      let problem = Self.dropoutProblem
      reader.report("dropout", problem.message, problem.remedy)
    }
    checkRates(in: &reader)
    if resolvedSteps != nil { checkWarmup(in: &reader) }
    checkValidation(surroundings, in: &reader)
  }

  /// The model's maximum, at most 1,024, when nothing is written.
  private static func readSequenceLength(
    in reader: inout SectionReader, _ surroundings: Surroundings
  ) -> Int? {
    let written = reader.integer("sequence_length", 1...16_777_216)
    guard let length = written else {
      return reader.isGood("sequence_length") ? min(1024, surroundings.maximumSequenceLength ?? 1024) : nil
    }
    if let maximum = surroundings.maximumSequenceLength, length > maximum {
      reader.report(
        "sequence_length", "\(length) exceeds the model's maximum_sequence_length \(maximum)",
        "use at most \(maximum), or raise model.maximum_sequence_length")
      return nil
    }
    return length
  }

  private static func readBatch(
    in reader: inout SectionReader, _ sequenceLength: Int?, _ surroundings: Surroundings
  ) -> BatchPlan? {
    let request = BatchPlan.Request(
      microBatchSize: reader.integer("micro_batch_size", 1...1_048_576),
      gradientAccumulation: reader.integer("gradient_accumulation", 1...1_048_576),
      globalBatchSize: reader.integer("global_batch_size", 1...BatchPlan.largest),
      globalBatchTokens: reader.integer("global_batch_tokens", 1...BatchPlan.largest))
    guard let sequenceLength, let replicas = surroundings.replicas,
      reader.isGood(
        "micro_batch_size", "gradient_accumulation", "global_batch_size", "global_batch_tokens")
    else { return nil }
    do {
      return try BatchPlan(request, dataParallelDegree: replicas, sequenceLength: sequenceLength)
    } catch {
      reader.report(error.key, error.message, error.remedy)
      return nil
    }
  }

  /// Steps as written, or as many as the tokens need: ceil(tokens / tokens of a step).
  private static func resolveSteps(
    _ steps: Int?, _ tokens: Int?, _ batch: BatchPlan?, _ ramp: [BatchStage], _ sequenceLength: Int?,
    in reader: inout SectionReader
  ) -> Int? {
    if reader.has("steps"), reader.has("tokens") {
      reader.report(
        "tokens", "cannot go with steps: both fix the length of the training", "remove one of the two")
      return nil
    }
    if !reader.has("steps"), !reader.has("tokens") {
      reader.report("steps", "is missing, and so is tokens", "write one of them, for example `steps: 1000`")
      return nil
    }
    guard let batch, let sequenceLength else { return steps }
    let tokensPerStep = batch.globalBatchSize * sequenceLength
    // The ramp's steps have fewer tokens.
    var (rampSteps, rampTokens) = (0, 0)
    for stage in ramp {
      rampTokens += (stage.untilStep - rampSteps) * stage.globalBatchSize * sequenceLength
      rampSteps = stage.untilStep
    }
    let count =
      steps ?? tokens.map { rampSteps + max(0, $0 - rampTokens + tokensPerStep - 1) / tokensPerStep }
    if let count, count <= rampSteps, !ramp.isEmpty {
      reader.report(
        BatchStage.key, "the last stage ends at step \(rampSteps), but the training has \(count) steps",
        "end the ramp before the last step")
      return nil
    }
    guard let count else { return nil }
    if count > mostSteps || count.multipliedReportingOverflow(by: tokensPerStep).overflow {
      let key = steps == nil ? "tokens" : "steps"
      reader.report(
        key, "\(count) steps of \(tokensPerStep) tokens are more than can be counted", "use a lower number")
      return nil
    }
    return count
  }

  /// What is wrong with dropout in a model without it.
  static let dropoutProblem = (message: "the llama family has no dropout", remedy: "remove it, or use gpt2")

  private func checkPrecision(in reader: inout SectionReader) {
    guard reader.isGood("precision", "gradient_precision"), precision != .bf16 else { return }
    reader.refuse(
      "gradient_precision",
      because: "needs `precision: bf16`; with \(precision.rawValue) gradients are summed in fp32")
  }

  private func checkRates(in reader: inout SectionReader) {
    guard reader.isGood("learning_rate", "minimum_learning_rate", "schedule") else { return }
    if schedule == .constant {
      reader.refuse("minimum_learning_rate", because: "has no meaning for the constant schedule")
    } else if minimumLearningRate > learningRate {
      reader.report(
        "minimum_learning_rate", "\(minimumLearningRate) is above the learning rate \(learningRate)",
        "use at most \(learningRate), usually \(Self.tenth(of: learningRate))")
    }
  }

  private func checkWarmup(in reader: inout SectionReader) {
    guard reader.isGood("warmup_steps", "steps", "tokens"), warmupSteps > steps else { return }
    reader.report(
      "warmup_steps", "\(warmupSteps) warm-up steps exceed the \(steps) steps of the training",
      "use at most \(steps), or remove it for \(Self.defaultWarmup(steps, beta2: beta2))")
  }

  private func checkValidation(_ surroundings: Surroundings, in reader: inout SectionReader) {
    if reader.isGood("validate_every"), reader.has("validate_every"), validateEvery > 0,
      !surroundings.hasValidation
    {
      reader.report(
        "validate_every", "there is no validation data",
        "name data.validation, or set data.validation_fraction")
    }
    if reader.isGood("validation_tokens", "sequence_length"), validationTokens > 0,
      validationTokens < sequenceLength
    {
      reader.report(
        "validation_tokens", "\(validationTokens) tokens are less than one sequence of \(sequenceLength)",
        "use at least \(sequenceLength), or 0 for all")
    }
  }
}
