import ApusForesight
import Testing

@Suite struct GlobalBatchTests {
  /// Domain reference S5: 1024 sequences of 4096 tokens.
  @Test func tokensOfABatch() {
    let batch = GlobalBatch(
      microBatchSize: 2, accumulationCount: 4, dataParallelDegree: 128, sequenceLength: 4096)
    #expect(batch.sampleCount == 1024)
    #expect(batch.tokenCount == 4_194_304)
  }

  /// Domain reference S18: eight passes a step.
  @Test func accumulationMultiplies() {
    let batch = GlobalBatch(
      microBatchSize: 3, accumulationCount: 8, dataParallelDegree: 1, sequenceLength: 16)
    #expect(batch.sampleCount == 8 * 3)
  }

  /// Domain reference S24: 4M tokens, 4096 a sequence, micro-batch 2; 128 ranks accumulate 4, 512 none.
  @Test(arguments: [(128, 4), (512, 1)]) func accumulationOfTheExample(ranks: Int, accumulation: Int) throws {
    let batch = try GlobalBatch(
      tokens: 4_194_304, sequenceLength: 4096, microBatchSize: 2, dataParallelDegree: ranks)
    #expect(batch.accumulationCount == accumulation)
    #expect(batch.tokenCount == 4_194_304)
  }

  @Test func indivisibleBatchesAreRefusedWithARemedy() {
    let uneven = #expect(throws: ForesightError.self) {
      try GlobalBatch(tokens: 100 * 64, sequenceLength: 64, microBatchSize: 3, dataParallelDegree: 8)
    }
    #expect(
      uneven?.description
        == "a global batch of 100 samples is no multiple of 24 (micro-batch 3 times data-parallel degree 8); "
        + "the nearest that are: 96, 120")
    let partial = #expect(throws: ForesightError.self) {
      try GlobalBatch(tokens: 1000, sequenceLength: 64, microBatchSize: 1, dataParallelDegree: 1)
    }
    #expect(partial == .partialSequence(tokens: 1000, sequenceLength: 64))
    let tooSmall = #expect(throws: ForesightError.self) {
      try GlobalBatch(tokens: 128, sequenceLength: 64, microBatchSize: 1, dataParallelDegree: 4)
    }
    #expect(
      tooSmall
        == .indivisibleBatch(
          samples: 2, by: 4, as: "micro-batch 1 times data-parallel degree 4", nearest: [4]))
  }

  /// Domain reference S4: the last step may see fewer tokens than are asked for.
  @Test(arguments: [(0, 0), (1, 1), (1024, 1), (1025, 2), (10_240, 10)])
  func steps(tokens: Int, count: Int) {
    let batch = GlobalBatch(
      microBatchSize: 4, accumulationCount: 2, dataParallelDegree: 2, sequenceLength: 64)
    #expect(batch.stepCount(toSee: tokens) == count)
  }
}
