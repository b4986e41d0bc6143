import ApusCore
import ApusForesight
import ApusModels
import ApusProgram
import Testing

@Suite struct ModelStatesTests {
  /// Domain reference S10 and S11: 16, 16 and 20 bytes a parameter.
  @Test func bytesPerParameter() {
    #expect(PrecisionRecipe.float32.bytesPerParameter == 16)
    #expect(PrecisionRecipe.bfloat16.bytesPerParameter == 16)
    #expect(PrecisionRecipe.bfloat16SummingInFloat32.bytesPerParameter == 20)
  }

  /// Domain reference S12, in GB.
  @Test(arguments: [(1, 16, 20), (7, 112, 140), (70, 1120, 1400), (405, 6480, 8100)])
  func table(billions: Int, sixteen: Int, twenty: Int) {
    let count = billions * 1_000_000_000
    #expect(PrecisionRecipe.float32.modelStates(parameterCount: count).bytes == sixteen * 1_000_000_000)
    #expect(PrecisionRecipe.bfloat16.modelStates(parameterCount: count).bytes == sixteen * 1_000_000_000)
    #expect(
      PrecisionRecipe.bfloat16SummingInFloat32.modelStates(parameterCount: count).bytes
        == twenty * 1_000_000_000)
  }

  /// S11 without the bf16 gradient: what a program of that policy keeps, counted in its plan.
  @Test func eighteenBytes() throws {
    let recipe = PrecisionRecipe.bfloat16AccumulatingInFloat32
    #expect(recipe.bytesPerParameter == 18)
    let shape = try #require(ModelPresets.named("gpt2-124m"))
    let settings = TrainingProgramSettings(
      microBatchSize: 1, sequenceLength: 8, precision: .bf16SummingInFloat32)
    let estimate = try MemoryEstimate(shape, settings, workspace: Estimates.workspace)
    let states = [Role.parameter, .gradient, .optimizerState].reduce(0) {
      $0 + estimate.byteCount(of: $1).bytes
    }
    #expect(states == recipe.modelStates(parameterCount: estimate.parameters.enumerated).bytes)
    // The growing allocator has master weights from the start and moments from the first update (C2).
    let expected = MemoryMilestones(
      bfloat16Weights: estimate.byteCount(of: .parameter),
      activations: ByteCount(estimate.plan.transientLowerBound))
    #expect(estimate.growingAllocator == expected)
  }

  /// Domain reference B10, the last column.
  @Test func publishedRecipes() {
    #expect(PrecisionRecipe.published.map(\.bytesPerParameter) == [20, 16, 16, 9, 15, 10])
  }

  /// Domain reference S26: 7.5 B parameters on 64 ranks, in GB.
  @Test(arguments: [(0, "120.0"), (1, "31.4"), (2, "16.6"), (3, "1.9")])
  func zeroFigure(stage: Int, gigabytes: String) {
    let states = ShardedModelStates(
      parameterCount: 7_500_000_000, recipe: .bfloat16, zeroStage: stage, dataParallelDegree: 64)
    #expect(rounds(states.totalBytes / 1e9, to: gigabytes))
  }

  /// Domain reference S26: the limits of many ranks are a quarter, an eighth and nothing.
  @Test func limitsOfManyRanks() {
    func share(_ stage: Int) -> Double {
      ShardedModelStates(
        parameterCount: 1_000_000, recipe: .bfloat16, zeroStage: stage, dataParallelDegree: 1 << 40
      ).totalBytes / 16_000_000
    }
    #expect(abs(share(1) - 1 / 4.0) < 1e-6)
    #expect(abs(share(2) - 1 / 8.0) < 1e-6)
    #expect(share(3) < 1e-6)
  }

  /// A sum of gradients in fp32 adds 4 Ψ in stages 0 and 1, 4 Ψ / N_d in 2 and 3.
  @Test(arguments: [(0, 4.0), (1, 4.0), (2, 0.5), (3, 0.5)])
  func gradientSums(stage: Int, added: Double) {
    func total(_ recipe: PrecisionRecipe) -> Double {
      ShardedModelStates(parameterCount: 1000, recipe: recipe, zeroStage: stage, dataParallelDegree: 8)
        .totalBytes
    }
    #expect(total(.bfloat16SummingInFloat32) - total(.bfloat16) == added * 1000)
  }

  /// Drawn with k = 8, so without the master weights (erratum 6), and without the norms.
  private func drawn(_ model: ModelConfiguration, zeroStage: Int) -> ShardedModelStates {
    ShardedModelStates(
      parameterCount: ParameterCount(model).withoutNorms,
      recipe: PrecisionRecipe("as drawn", weights: 2, gradients: 2, moments: 8), zeroStage: zeroStage,
      dataParallelDegree: 8)
  }

  /// Domain reference 4.3, the bars of whole models in GiB.
  @Test(arguments: [
    (PublishedModels.llama1B, "2.302", "9.207"), (PublishedModels.llama8B, "14.957", "59.828"),
    (PublishedModels.llama70B, "131.41", "525.66"),
  ])
  func barsOfModels(model: ModelConfiguration, weights: String, optimizer: String) {
    let states = drawn(model, zeroStage: 0)
    #expect(rounds(states.weightBytes / gibibyte, to: weights))
    #expect(states.gradientBytes == states.weightBytes)
    #expect(rounds(states.optimizerBytes / gibibyte, to: optimizer))
  }

  /// Domain reference 4.3, 8B on 8 ranks: 15, 15 and 60 GiB, and an eighth of what a stage shards.
  @Test(arguments: [
    (0, "15", "15", "60"), (1, "15", "15", "7.5"), (2, "15", "1.87", "7.5"), (3, "1.87", "1.87", "7.5"),
  ])
  func barsOfZeRO(stage: Int, weights: String, gradients: String, optimizer: String) {
    let states = drawn(PublishedModels.llama8B, zeroStage: stage)
    #expect(rounds(states.weightBytes / gibibyte, to: weights))
    #expect(rounds(states.gradientBytes / gibibyte, to: gradients))
    #expect(rounds(states.optimizerBytes / gibibyte, to: optimizer))
  }
}
