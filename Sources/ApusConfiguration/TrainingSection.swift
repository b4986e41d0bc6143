import ApusCore
public import ApusProgram

/// How long, on which batches and by which rule the weights are trained.
public struct TrainingSection: Hashable, Sendable, Codable {
  /// How the learning rate moves after the warm-up.
  public enum Schedule: String, Hashable, Sendable, Codable, CaseIterable {
    /// Half a cosine wave down to the minimum (Loshchilov and Hutter 2017).
    case cosine
    /// A straight line down to the minimum.
    case linear
    /// No change.
    case constant
  }

  /// Which parameters weight decay pulls towards zero.
  public enum Decay: String, Hashable, Sendable, Codable, CaseIterable {
    /// Weight matrices and embeddings; not biases and norm weights.
    case matrices
    /// Every parameter.
    case all
  }

  /// The number format of weights, activations and their gradients. The 16-bit formats keep float32 master
  /// weights.
  public enum Precision: String, Hashable, Sendable, Codable, CaseIterable {
    case fp32, bf16
    /// With a dynamic scale of the loss.
    case fp16
  }

  /// The number format in which the gradients of the parameters are summed.
  public enum GradientPrecision: String, Hashable, Sendable, Codable, CaseIterable {
    case fp32, bf16
  }

  /// Optimizer steps in total.
  public var steps: Int
  /// Tokens of one sample.
  public var sequenceLength: Int
  /// Samples of one forward pass of one replica.
  public var microBatchSize: Int
  /// Micro-batches of one replica in an optimizer step.
  public var gradientAccumulation: Int
  /// Samples of one optimizer step on all replicas.
  public var globalBatchSize: Int
  /// Smaller batches of the first steps; empty without a ramp.
  public var batchRamp: [BatchStage]
  /// The highest learning rate, reached at the end of the warm-up.
  public var learningRate: Double
  /// The learning rate of the last step.
  public var minimumLearningRate: Double
  /// Steps in which the learning rate rises from zero.
  public var warmupSteps: Int
  public var schedule: Schedule
  /// AdamW's decay of the mean of gradients.
  public var beta1: Double
  /// AdamW's decay of the mean of squared gradients.
  public var beta2: Double
  /// AdamW's addition to the denominator.
  public var epsilon: Double
  /// AdamW's decoupled weight decay (Loshchilov and Hutter 2019).
  public var weightDecay: Double
  public var decay: Decay
  /// The greatest global gradient norm; 0 clips nothing.
  public var gradientClip: Double
  /// The share of elements that dropout sets to zero while training; 0 drops nothing.
  public var dropout: Double
  /// Fixes the initial weights and what dropout drops.
  public var seed: Int
  public var precision: Precision
  /// `bf16` only with `bf16`.
  public var gradientPrecision: GradientPrecision
  /// What backward computes again instead of keeping it.
  public var recomputation: RecomputationRequest
  /// Steps between validations; 0 never validates.
  public var validateEvery: Int
  /// Tokens of one validation at most; 0 means all there are.
  public var validationTokens: Int
  /// Threads of the computation; 0 means all cores.
  public var threads: Int

  public init(
    steps: Int, sequenceLength: Int, microBatchSize: Int = 8, gradientAccumulation: Int = 1,
    globalBatchSize: Int? = nil, batchRamp: [BatchStage] = [], learningRate: Double = 3e-4,
    minimumLearningRate: Double? = nil,
    warmupSteps: Int? = nil, schedule: Schedule = .cosine, beta1: Double = 0.9, beta2: Double = 0.95,
    epsilon: Double = 1e-8, weightDecay: Double = 0.1, decay: Decay = .matrices, gradientClip: Double = 1,
    dropout: Double = 0, seed: Int = 1234, precision: Precision = .fp32,
    gradientPrecision: GradientPrecision = .fp32, recomputation: RecomputationRequest = .none,
    validateEvery: Int = 100, validationTokens: Int = 131_072,
    threads: Int = 0
  ) {
    self.steps = steps
    self.sequenceLength = sequenceLength
    self.microBatchSize = microBatchSize
    self.gradientAccumulation = gradientAccumulation
    self.globalBatchSize = globalBatchSize ?? microBatchSize * gradientAccumulation
    self.batchRamp = batchRamp
    self.learningRate = learningRate
    self.minimumLearningRate =
      schedule == .constant ? learningRate : minimumLearningRate ?? Self.tenth(of: learningRate)
    self.warmupSteps = warmupSteps ?? Self.defaultWarmup(steps, beta2: beta2)
    self.schedule = schedule
    self.beta1 = beta1
    self.beta2 = beta2
    self.epsilon = epsilon
    self.weightDecay = weightDecay
    self.decay = decay
    self.gradientClip = gradientClip
    self.dropout = dropout
    self.seed = seed
    self.precision = precision
    self.gradientPrecision = gradientPrecision
    self.recomputation = recomputation
    self.validateEvery = validateEvery
    self.validationTokens = validationTokens
    self.threads = threads
  }

  /// The element types that a step is recorded in.
  package var precisionPolicy: PrecisionPolicy {
    switch precision {
    case .fp32: .fp32
    case .bf16: gradientPrecision == .bf16 ? .bf16 : .bf16SummingInFloat32
    case .fp16: .fp16
    }
  }

  /// Tokens of one optimizer step on all replicas.
  public var globalBatchTokens: Int { globalBatchSize * sequenceLength }

  /// Tokens of the whole training.
  public var tokens: Int { tokens(throughStep: steps) }

  /// A tenth, moved in decimal: of 0.0003 it is 0.00003, where division gives 0.000029999999999999997.
  static func tenth(of rate: Double) -> Double {
    let parts = "\(rate)".split(separator: "e")
    let exponent = parts.count > 1 ? Int(parts[1]) ?? 0 : 0
    return Double("\(parts[0])e\(exponent - 1)") ?? rate / 10
  }

  /// A twentieth of the steps, at most 2,000; in short trainings 2 / (1 - beta2) steps, in which AdamW's mean of squares
  /// settles (Ma and Yarats 2021, "On the adequacy of untuned warmup for adaptive optimization"), at most a fifth.
  static func defaultWarmup(_ steps: Int, beta2: Double) -> Int {
    let settling = 2 / max(1 - beta2, 1e-9)
    return max(min(steps / 20, 2000), min(Int(settling.rounded()), steps / 5))
  }

  var resolved: ResolvedValue {
    var entries = ResolvedEntries()
    entries.add("steps", steps)
    entries.add("sequence_length", sequenceLength)
    entries.add("micro_batch_size", microBatchSize)
    entries.add("gradient_accumulation", gradientAccumulation)
    entries.add("global_batch_size", globalBatchSize)
    entries.add("global_batch_tokens", globalBatchTokens)
    if !batchRamp.isEmpty {
      entries.add(
        BatchStage.key,
        .list(
          batchRamp.map { stage in
            var nested = ResolvedEntries()
            nested.add("until_step", stage.untilStep)
            nested.add("global_batch_size", stage.globalBatchSize)
            return .mapping(nested)
          }))
    }
    entries.add("learning_rate", learningRate)
    if schedule != .constant { entries.add("minimum_learning_rate", minimumLearningRate) }
    entries.add("warmup_steps", warmupSteps)
    entries.add("schedule", schedule.rawValue)
    entries.add("beta1", beta1)
    entries.add("beta2", beta2)
    entries.add("epsilon", epsilon)
    entries.add("weight_decay", weightDecay)
    entries.add("decay", decay.rawValue)
    entries.add("gradient_clip", gradientClip)
    entries.add("dropout", dropout)
    entries.add("seed", seed)
    entries.add("precision", precision.rawValue)
    if precision == .bf16 { entries.add("gradient_precision", gradientPrecision.rawValue) }
    entries.add("recomputation", recomputation.resolved)
    entries.add("validate_every", validateEvery)
    entries.add("validation_tokens", validationTokens)
    entries.add("threads", threads)
    return .mapping(entries)
  }
}
