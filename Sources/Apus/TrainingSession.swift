import ApusModels
import ApusProgram
import ApusRuntime
import ApusTraining

/// Trains a model of the caller's own on tokens in memory: records its step, plans it, maps the memory, runs.
///
///     let session = try TrainingSession(tokens: tokens, settings: .init(sequenceLength: 32)) { step, training in
///       MyModel(vocabularySize: 256, training: training, in: &step)
///     }
///     print(session.plan.totalBytes)
///     for _ in 0..<100 { print(try session.step(learningRate: 1e-3).loss) }
///
/// `Examples/OwnModel` is a complete program.
public final class TrainingSession {
  /// Sizes and optimizer of a session. Moments decay by 0.9 and 0.95; matrices decay, vectors do not.
  public struct Settings: Hashable, Sendable {
    /// Tokens in a sequence.
    public var sequenceLength: Int
    /// Sequences in a micro-batch.
    public var microBatchSize: Int
    /// Micro-batches in a step.
    public var gradientAccumulation: Int
    public var weightDecay: Double
    /// Largest global gradient norm; 0 = no clipping.
    public var gradientClip: Double
    /// Fixes initial weights and the order of the samples.
    public var seed: UInt64
    /// Threads to use; 0 = one a core.
    public var threads: Int

    public init(
      sequenceLength: Int, microBatchSize: Int = 8, gradientAccumulation: Int = 1, weightDecay: Double = 0.1,
      gradientClip: Double = 1, seed: UInt64 = 0, threads: Int = 0
    ) {
      self.sequenceLength = sequenceLength
      self.microBatchSize = microBatchSize
      self.gradientAccumulation = gradientAccumulation
      self.weightDecay = weightDecay
      self.gradientClip = gradientClip
      self.seed = seed
      self.threads = threads
    }
  }

  /// The memory of a step, known before the first; bytes.
  public struct Plan: Hashable, Sendable {
    public var parameterCount: Int
    /// Parameters, optimizer states, inputs and results, and gradients that are summed over micro-batches.
    public var persistentBytes: Int
    /// Activations and workspace, and the parameters' gradients where a step has one micro-batch.
    public var transientBytes: Int
    public var totalBytes: Int { persistentBytes + transientBytes }
    /// Floating-point operations of the matrix products and attention of one step.
    public var flopsPerStep: Int
  }

  /// What one step gave.
  public struct Step: Hashable, Sendable {
    /// Counted from 1.
    public var number: Int
    /// Mean over the step's tokens before the update, nats.
    public var loss: Double
    /// Global norm before clipping.
    public var gradientNorm: Double
    public var seconds: Double
  }

  public let plan: Plan
  private let loop: StepLoop
  private let samples: TokenWindows
  private var stepsDone = 0

  /// Records, plans and prepares the step of the model that `declaration` declares.
  ///
  /// - Parameter tokens: the text; every id below the rows of the model's tables.
  /// - Throws: when there are too few tokens, or when the step does not fit in memory.
  public init(tokens: [Int32], settings: Settings, model declaration: ModelDeclaration) throws {
    guard tokens.count > settings.sequenceLength else {
      throw TrainingError.data(
        "\(tokens.count) tokens are too few for a sequence of \(settings.sequenceLength), which needs "
          + "\(settings.sequenceLength + 1)")
    }
    let optimizer = OptimizerSettings(weightDecay: settings.weightDecay, maximumNorm: settings.gradientClip)
    var recorded = TrainingProgramSettings(
      microBatchSize: settings.microBatchSize, sequenceLength: settings.sequenceLength, optimizer: optimizer)
    recorded.accumulates = settings.gradientAccumulation > 1
    let program = StepProgram.training(declaration, recorded)
    let executor = try Executor(
      program, threads: settings.threads > 0 ? settings.threads : ArithmeticLibrary.defaultThreads)
    executor.initializeParameters(seed: settings.seed)
    samples = TokenWindows(
      tokens: tokens, sequenceLength: settings.sequenceLength, vocabularySize: program.vocabularySize,
      seed: settings.seed)
    loop = StepLoop(
      executor, microbatches: settings.gradientAccumulation, samplesPerMicrobatch: settings.microBatchSize,
      optimizer: optimizer)
    let perMicrobatch = program.segment(.forward)!.cost.flops + program.segment(.backward)!.cost.flops
    plan = Plan(
      parameterCount: program.parameterCount, persistentBytes: executor.plan.persistentBytes,
      transientBytes: executor.plan.transientBytes,
      flopsPerStep: perMicrobatch * settings.gradientAccumulation)
  }

  /// Runs the next step on windows drawn from the tokens.
  ///
  /// - Throws: when loss or gradient norm are not finite, before anything is updated, and on a token that the
  ///   model has no row for.
  public func step(learningRate: Double) throws -> Step {
    let outcome = try loop.run(step: stepsDone + 1, learningRate: learningRate, samples)
    stepsDone += 1
    return Step(
      number: stepsDone, loss: outcome.loss, gradientNorm: outcome.gradientNorm, seconds: outcome.seconds)
  }

  /// The weights of the parameter with this name, row-major; nil where the model has none.
  public func weights(of name: String) -> [Float]? {
    loop.executor.program.parameters.first { $0.name == name }.map { Array(loop.executor.floats($0.tensor)) }
  }
}
