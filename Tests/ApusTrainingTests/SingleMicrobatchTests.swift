import ApusCore
import ApusModels
import ApusProgram
import ApusRuntime
import ApusTraining
import Testing

/// Steps of one micro-batch, whose gradients lie where activations were.
@Suite struct SingleMicrobatchTests {
  private static let models = [
    ModelConfiguration(
      family: .gpt2, vocabularySize: 301, maximumSequenceLength: 24, layerCount: 3, hiddenSize: 48,
      headCount: 4, intermediateSize: 100),
    ModelConfiguration(
      family: .llama, vocabularySize: 257, maximumSequenceLength: 24, layerCount: 2, hiddenSize: 32,
      headCount: 4, keyValueHeadCount: 2, tiedEmbeddings: false),
  ]

  /// The bits of all weights after some steps, and the bytes of the plan.
  private func train(
    _ model: ModelConfiguration, _ recomputation: RecomputationSettings, _ precision: PrecisionPolicy,
    accumulates: Bool
  ) throws -> (weights: [[UInt32]], losses: [Double], planned: Int, highWater: Int) {
    var settings = TrainingProgramSettings(
      microBatchSize: 3, sequenceLength: 24, recomputation: recomputation, precision: precision)
    settings.accumulates = accumulates
    let executor = try Executor(.training(model, settings), threads: 2)
    // What nobody wrote would show.
    executor.poison()
    executor.initializeParameters(seed: 5)
    let loop = StepLoop(executor, microbatches: 1, samplesPerMicrobatch: 3, optimizer: settings.optimizer)
    let source = MadeUpTokens(vocabularySize: model.vocabularySize, sequenceLength: 24)
    let losses = try (1...4).map {
      try loop.run(step: $0, learningRate: 1e-2, scale: .withoutSkips(precision), source).loss
    }
    let weights = executor.program.units.map { executor.values($0.weightsOfRecord).map(\.bitPattern) }
    return (weights, losses, executor.plan.totalBytes, executor.arenaHighWater)
  }

  /// Where gradients lie changes no bit, and the smaller plan is all that is touched.
  @Test(
    arguments: [RecomputationSettings.none, .uniform(.selective), .uniform(.full)],
    [PrecisionPolicy.fp32, .bf16])
  func placeChangesNothing(_ recomputation: RecomputationSettings, _ precision: PrecisionPolicy) throws {
    for model in Self.models {
      let kept = try train(model, recomputation, precision, accumulates: true)
      let used = try train(model, recomputation, precision, accumulates: false)
      #expect(kept.weights == used.weights)
      #expect(kept.losses == used.losses && used.losses[3] != used.losses[0])
      #expect(used.planned < kept.planned)
      #expect(used.highWater <= used.planned && used.highWater > used.planned - MemoryPlan.alignment)
    }
  }
}
