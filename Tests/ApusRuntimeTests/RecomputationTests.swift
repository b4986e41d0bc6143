import ApusCore
import ApusModels
import ApusProgram
import ApusRuntime
import Testing

/// Recomputation changes what is kept, and not one bit of the result.
@Suite struct RecomputationTests {
  private func program(
    _ model: ModelConfiguration, _ settings: RecomputationSettings, _ precision: PrecisionPolicy = .fp32
  ) -> StepProgram {
    .training(
      model,
      TrainingProgramSettings(
        microBatchSize: 2, sequenceLength: 7, recomputation: settings, precision: precision))
  }

  /// Policies, policies for some layers, and any set of instructions that a budget could pick.
  private static let settings: [RecomputationSettings] =
    [
      .selective, .full, .layers([LayerRecomputation(.full, layers: LayerSet([1]))]),
      .layers([
        LayerRecomputation(.selective, layers: LayerSet([1])),
        LayerRecomputation(.full, layers: LayerSet([0])),
      ]),
    ]
    + (0..<6).map { round in
      .repeating(Set((0..<40).filter { SmallModels.noise(100 * round + $0) > 0 }))
    }

  @Test(arguments: SmallModels.all, Self.settings)
  func gradientsAreBitIdentical(_ model: ModelConfiguration, _ settings: RecomputationSettings) throws {
    try compare(program(model, .none), program(model, settings), vocabulary: model.vocabularySize)
  }

  @Test(arguments: SmallModels.all, PrecisionTests.policies)
  func gradientsOf16BitProgramsAreBitIdentical(
    _ model: ModelConfiguration, _ precision: PrecisionPolicy
  ) throws {
    for settings in Self.settings {
      try compare(
        program(model, .none, precision), program(model, settings, precision),
        vocabulary: model.vocabularySize)
    }
  }

  private func compare(_ a: StepProgram, _ b: StepProgram, vocabulary: Int) throws {
    var results: [[UInt32]] = []
    for program in [a, b] {
      let executor = try Executor(program, threads: 2)
      executor.poison()
      executor.prepare(tokenWeight: 1.0 / 22)
      try executor.step(vocabulary: vocabulary)
      results.append(
        program.units.flatMap { unit in
          unit.parameters.flatMap { executor.values(unit.gradient(of: $0.tensor)).map(\.bitPattern) }
        } + [executor.floats(program.loss!)[0].bitPattern])
    }
    #expect(results[0] == results[1])
  }

  @Test(arguments: Self.settings)
  func nothingWritesOutsideItsSlot(_ policy: RecomputationSettings) throws {
    for model in SmallModels.all {
      let executor = try Executor(program(model, policy), threads: 2)
      executor.poison()
      executor.prepare(tokenWeight: 1.0 / 22)
      executor.load(vocabulary: model.vocabularySize, microbatch: 0)
      for kind in [Segment.Kind.forward, .backward, .synchronise, .optimizer] {
        try executor.runAudited(kind)
      }
      #expect(executor.floats(executor.program.loss!)[0].isFinite)
    }
  }

  /// S14, S15: memory falls; the repeated FLOPs are fewer than one forward pass; exactly these products are
  /// repeated: all of a layer but its last, and attention.
  @Test func fullKeepsLayerInputsAndRepeatsWhatIsRead() throws {
    let model = try #require(ModelPresets.named("gpt2-124m"))
    func program(_ policy: RecomputationSettings) -> StepProgram {
      .training(
        model, TrainingProgramSettings(microBatchSize: 4, sequenceLength: 256, recomputation: policy))
    }
    func transient(_ program: StepProgram) -> Int { MemoryPlan(program) { _ in 0 }.transientBytes }
    func flops(_ program: StepProgram) -> Int {
      program.segment(.forward)!.cost.flops + program.segment(.backward)!.cost.flops
    }
    let (none, selective, full) = (program(.none), program(.selective), program(.full))
    #expect(transient(full) < transient(selective) && transient(selective) < transient(none))
    #expect(flops(selective) == flops(none))
    let (tokens, h, layers) = (1024, 768, 12)
    // Queries, keys and values, the output projection, the feed-forward's first product; attention.
    let products = 2 * tokens * h * (3 * h + h + 4 * h)
    let attention = 4 * 64 * 12 * tokens * (256 + 1) / 2
    #expect(flops(full) - flops(none) == layers * (products + attention))
    #expect(Double(flops(full)) / Double(flops(none)) < 1 + 1.0 / 3)
  }

  @Test func forwardKeepsOnlyWhatThePolicyNames() throws {
    let full = program(SmallModels.gpt2, .full)
    let read = Set(full.segment(.backward)!.instructions.flatMap { $0.inputs.map(\.storage) })
    let kept = full.segment(.forward)!.instructions.flatMap { instruction in
      instruction.outputs.filter { read.contains($0.tensor.storage) }.map { _ in instruction.op.name }
    }
    // The embeddings' sum and each layer's output.
    #expect(kept == ["positions", "add and layer norm", "add"])
  }
}
