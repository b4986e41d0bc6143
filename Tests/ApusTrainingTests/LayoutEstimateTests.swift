import ApusCommunication
import ApusCore
import ApusForesight
import ApusModels
import ApusProgram
import ApusRuntime
import ApusTraining
import Testing

/// What `apus estimate` says of a layout against the arena of every rank that trains under it.
@Suite struct LayoutEstimateTests {
  private struct Tokens: BatchSource {
    func fill(
      inputs: UnsafeMutableBufferPointer<Int32>, targets: UnsafeMutableBufferPointer<Int32>, first: Int,
      count: Int
    ) {
      for index in inputs.indices {
        inputs[index] = Int32((first + 7 * index) % 89)
        targets[index] = Int32((first + 7 * index + 7) % 89)
      }
    }
  }

  /// One rank after two steps.
  private struct Rank: Sendable {
    var planned, highWater: Int
    var roles: [Role: Int]
    var volumes: [MeshAxis: [CollectiveKind: CommunicationCounters.Entry]]
  }

  private static let model = ModelConfiguration(
    family: .llama, vocabularySize: 89, maximumSequenceLength: 16, layerCount: 3, hiddenSize: 48,
    headCount: 8, keyValueHeadCount: 4, intermediateSize: 100)
  private static let layouts =
    [4, 8].flatMap { degree in (0...3).map { ParallelLayout(data: degree, zeroStage: $0) } }
    + [
      ParallelLayout(data: 4, zeroStage: 3, shardDegree: 2), ParallelLayout(data: 2, tensor: 4, zeroStage: 2),
      ParallelLayout(data: 2, tensor: 4, zeroStage: 3, sequenceParallel: true),
    ]

  private func train(_ settings: TrainingProgramSettings, accumulation: Int) throws -> [Rank] {
    let program = StepProgram.training(Self.model, settings)
    return try LocalRanks.run(settings.layout.worldSize, stallLimit: 60) { world in
      let place = RankPlace(world, ranksOnMachine: world.size)
      let executor = try Executor(program, threads: 1, ranks: place.groups(program.mesh))
      executor.poison()
      executor.initializeParameters(seed: 1)
      try executor.gatherWeights()
      let loop = StepLoop(
        executor, microbatches: accumulation, samplesPerMicrobatch: settings.microBatchSize,
        optimizer: settings.optimizer, world: world)
      let scale = LossScale.withoutSkips(settings.precision)
      _ = try loop.run(step: 1, learningRate: 1e-3, scale: scale, Tokens())
      let second = try loop.run(step: 2, learningRate: 1e-3, scale: scale, Tokens())
      return Rank(
        planned: executor.plan.totalBytes, highWater: executor.arenaHighWater,
        roles: executor.plan.bytesAtPeak, volumes: second.communication.mapValues(\.byKind))
    }
  }

  @Test(arguments: layouts, [PrecisionPolicy.fp32, .bf16])
  func theArenaIsTheEstimate(layout: ParallelLayout, precision: PrecisionPolicy) throws {
    let settings = TrainingProgramSettings(
      microBatchSize: 2, sequenceLength: 16, precision: precision, layout: layout)
    let estimate = try MemoryEstimate(
      Self.model, settings, accumulation: 2, workspace: CPUCatalogue(threads: 1).workspace)
    let ranks = try train(settings, accumulation: 2)
    #expect(ranks.count == layout.worldSize)
    for rank in ranks {
      #expect(rank.planned == estimate.planned.bytes)
      // The last tensor may end in padding that nobody touches.
      #expect(rank.highWater <= estimate.planned.bytes)
      #expect(rank.highWater > estimate.planned.bytes - MemoryPlan.alignment)
      for role in Role.allCases { #expect(rank.roles[role] ?? 0 == estimate.byteCount(of: role).bytes) }
    }
    // S22, S23, S28, S29: calls and bytes of a step, from the program and counted on the first rank.
    let counted = ranks[0].volumes.flatMap { axis, kinds in
      kinds.filter { $0.value.calls > 0 }.map { "\(axis) \($0.key) \($0.value.calls) \($0.value.ringBytes)" }
    }
    let foreseen = estimate.exchanges.map {
      "\($0.axis) \($0.kind) \($0.volume.calls) \($0.volume.ringBytes)"
    }
    #expect(!counted.isEmpty && counted.sorted() == foreseen.sorted())
  }

  /// S26 with the padding that the estimate states: 4 + 4 + 8 bytes a parameter, of which the stage divides.
  @Test(arguments: [4, 8], [0, 1, 2, 3]) func rolesAreTheFormulas(degree: Int, stage: Int) throws {
    let estimate = try MemoryEstimate(
      Self.model,
      TrainingProgramSettings(
        microBatchSize: 1, sequenceLength: 16, layout: ParallelLayout(data: degree, zeroStage: stage)),
      workspace: CPUCatalogue(threads: 1).workspace)
    let elements = estimate.parameters.enumerated + estimate.parameterPadding
    let expected = ShardedModelStates(
      parameterCount: elements, recipe: .float32, zeroStage: stage, dataParallelDegree: degree)
    #expect(Double(estimate.byteCount(of: .parameter).bytes) == expected.weightBytes)
    #expect(Double(estimate.byteCount(of: .gradient).bytes) == expected.gradientBytes)
    #expect(Double(estimate.byteCount(of: .optimizerState).bytes) == expected.optimizerBytes)
  }
}
