import ApusCore
import ApusForesight
import ApusModels
import ApusProgram
import Testing

@Suite struct MemoryEstimateTests {
  /// S6: the roles, the alignment and the packing are all there is.
  @Test(arguments: [Estimates.odd, Estimates.oddGPT2]) func rolesAddUpToThePlan(model: ModelConfiguration)
    throws
  {
    let estimate = try Estimates.estimate(model, microBatch: 3, sequence: 7)
    let roles = Role.allCases.reduce(0) { $0 + estimate.byteCount(of: $1).bytes }
    let (alignment, packing) = (estimate.alignmentBytes.bytes, estimate.packingBytes.bytes)
    #expect(roles + alignment + packing == estimate.planned.bytes)
    #expect(estimate.lowerBound.bytes == estimate.planned.bytes - packing)
    #expect(alignment > 0 && alignment < 256 * estimate.program.storages.count)
    #expect(estimate.byteCount(of: .cache).bytes == 0)
  }

  /// S10: 16 bytes a parameter and its padding.
  @Test(arguments: [Estimates.odd, Estimates.oddGPT2]) func sixteenBytesAParameter(model: ModelConfiguration)
    throws
  {
    let estimate = try Estimates.estimate(model, sequence: 5)
    let states = [Role.parameter, .gradient, .optimizerState].reduce(0) {
      $0 + estimate.byteCount(of: $1).bytes
    }
    #expect(estimate.parameterPadding > 0)
    #expect(states == 16 * (estimate.parameters.enumerated + estimate.parameterPadding))
    let recipe = PrecisionRecipe.float32.modelStates(parameterCount: estimate.parameters.enumerated)
    #expect(states - recipe.bytes == 16 * estimate.parameterPadding)
  }

  /// S9: the formula, the enumeration, the exact count, and differences that explain all of it.
  @Test(arguments: Estimates.presets.map(\.name)) func differencesOfParametersAreComplete(name: String) throws
  {
    let shape = try #require(Estimates.shape(name))
    let estimate = try Estimates.estimate(shape, sequence: 8)
    let comparison = estimate.parameters
    #expect(comparison.enumerated == ParameterCount(shape).total)
    #expect(comparison.formula == TransformerShape(shape).parameterCount)
    #expect(comparison.deviations.reduce(0) { $0 + $1.count } == comparison.enumerated - comparison.formula)
    if shape.family == .gpt2 { #expect(comparison.deviations.map(\.reason) == ["learned positions"]) }
  }

  @Test(arguments: [Estimates.odd, Estimates.oddGPT2]) func differencesOfOddModels(model: ModelConfiguration)
    throws
  {
    let comparison = try Estimates.estimate(model, sequence: 5).parameters
    #expect(comparison.enumerated == ParameterCount(model).total)
    #expect(comparison.deviations.reduce(0) { $0 + $1.count } == comparison.enumerated - comparison.formula)
  }

  /// S8: Apus needs the same in every step; an allocator that grows needs the moments more from step 2 on.
  @Test func peaks() throws {
    let estimate = try Estimates.estimate(Estimates.odd, microBatch: 2, sequence: 8)
    #expect(estimate.peakOfFirstStep == estimate.planned && estimate.peakOfLaterSteps == estimate.planned)
    #expect(estimate.peakOfSaving.bytes == estimate.planned.bytes + (1 << 22) * 4)
    let growing = estimate.growingAllocator
    let moments = estimate.byteCount(of: .optimizerState).bytes
    #expect(growing.laterPassPeak.bytes - growing.firstPassPeak.bytes == moments)
    // It counts neither inputs, results nor alignment.
    let rest = estimate.byteCount(of: .input).bytes + estimate.byteCount(of: .result).bytes
    #expect(growing.peak.bytes == estimate.lowerBound.bytes - rest - estimate.alignmentBytes.bytes)
  }

  /// S5, S17, S18: accumulation multiplies the tokens of a step and leaves its memory alone.
  @Test func accumulationCostsNoMemory() throws {
    let one = try Estimates.estimate(Estimates.oddGPT2, microBatch: 2, sequence: 8)
    let eight = try Estimates.estimate(Estimates.oddGPT2, microBatch: 2, sequence: 8, accumulation: 8)
    #expect(eight.plan.totalBytes == one.plan.totalBytes)
    #expect(eight.byteCount(of: .activation) == one.byteCount(of: .activation))
    #expect(one.tokensOfStep == 16 && eight.tokensOfStep == 128 && eight.sequencesOfStep == 16)
    #expect(eight.perStep(eight.flops.counted) == 8 * one.perStep(one.flops.counted))
    let whole = try Estimates.estimate(Estimates.oddGPT2, microBatch: 16, sequence: 8)
    #expect(whole.byteCount(of: .activation).bytes == 8 * one.byteCount(of: .activation).bytes)
  }

  /// What a GPT-2 layer keeps for T tokens, in fp32: two outputs of norms, attention's output and two
  /// residual sums of D each, queries, keys and values of 3 D, and two of 4 D, so 16 D; then mean and
  /// deviation of two norms, and a log-sum-exp a head.
  @Test func savedActivationsOfGPT2() throws {
    let shape = try #require(Estimates.shape("gpt2-124m"))
    let kept = try Estimates.estimate(shape, microBatch: 2, sequence: 64).savedActivations
    let (t, d, heads) = (128, 768, 12)
    #expect(kept.layers.count == 12)
    for layer in kept.layers { #expect(layer == kept.layers[0]) }
    #expect(kept.bytesOfLayer.bytes == 4 * t * (16 * d + heads + 4))
    // Before the layers the embeddings, behind them the last norm and its statistics.
    #expect(kept.bytes.bytes == 12 * kept.bytesOfLayer.bytes + 4 * t * (2 * d + 2))
    let qkv = try #require(kept.layers[0].first { $0.columns == 3 * d })
    #expect(qkv.name == "attention linear" && qkv.readers == ["attention gradient"])
  }

  /// Llama keeps queries, keys and values turned, not as they came.
  @Test func savedActivationsOfLlama() throws {
    let kept = try Estimates.estimate(Estimates.odd, sequence: 8).savedActivations
    let names = kept.layers[0].map(\.name)
    #expect(names.contains("attention rotary") && !names.contains("attention linear"))
    // Two norms, two sums, attention's output (24), qkv (48), gate and up (20), their product (10).
    #expect(kept.bytesOfLayer.bytes == 4 * 8 * (4 * 12 + 24 + 48 + 20 + 10 + 4 + 2))
  }

  @Test func largestTensorsOfGPT2() throws {
    let shape = try #require(Estimates.shape("gpt2-124m"))
    let largest = try Estimates.estimate(shape, sequence: 64).largestTensors(4)
    #expect(largest[0].name == "transformer.wte.weight" && largest[0].size.bytes == 4 * 50257 * 768)
    #expect(largest[0].role == .parameter && largest[0].count == 1)
    // The logits of 64 rows, once in backward and once in evaluation; then weights of every layer.
    #expect(largest[1].size.bytes == 4 * 64 * 50257 && largest[1].role == .workspace)
    #expect(largest[3].name == "transformer.h.*.mlp.c_fc.weight" && largest[3].count == 12)
  }

  /// Sizes beyond 64 bits are refused before anything is recorded.
  @Test func absurdSizes() throws {
    let huge = ModelConfiguration(
      family: .llama, vocabularySize: 16_777_216, maximumSequenceLength: 16_777_216, layerCount: 10_000,
      hiddenSize: 1_048_576, headCount: 65_536, headSize: 256, intermediateSize: 16_777_216)
    for (microBatch, sequence) in [(1, 16_777_216), (1 << 40, 1 << 24), (Int.max, 2)] {
      let settings = TrainingProgramSettings(microBatchSize: microBatch, sequenceLength: sequence)
      #expect(throws: ForesightError.self) {
        try MemoryEstimate(huge, settings, workspace: Estimates.workspace)
      }
      #expect(throws: ForesightError.self) {
        try MemoryEstimate(
          Estimates.odd, TrainingProgramSettings(microBatchSize: Int.max, sequenceLength: 12),
          workspace: Estimates.workspace)
      }
    }
  }
}
