import ApusConfiguration
import Testing

@Suite struct BatchPlanTests {
  private func plan(
    mbs: Int? = nil, ga: Int? = nil, gbs: Int? = nil, tokens: Int? = nil, dp: Int = 1, sequence: Int = 4096
  ) throws(BatchPlan.Conflict) -> BatchPlan {
    try BatchPlan(
      .init(
        microBatchSize: mbs, gradientAccumulation: ga, globalBatchSize: gbs, globalBatchTokens: tokens),
      dataParallelDegree: dp, sequenceLength: sequence)
  }

  /// Domain reference S24: 4M tokens of 4k sequences.
  @Test(arguments: [(128, 4), (512, 1)])
  func referenceExample(dp: Int, accumulation: Int) throws {
    let found = try plan(mbs: 2, tokens: 4_194_304, dp: dp)
    #expect(found.globalBatchSize == 1024)
    #expect(found.gradientAccumulation == accumulation)
  }

  @Test func solvesEachFactor() throws {
    #expect(try plan(ga: 4, gbs: 64, dp: 2).microBatchSize == 8)
    #expect(try plan(mbs: 8, gbs: 64, dp: 2).gradientAccumulation == 4)
    #expect(try plan(mbs: 8, ga: 4, dp: 2).globalBatchSize == 64)
    #expect(try plan(mbs: 8, ga: 4, gbs: 64, tokens: 64 * 4096, dp: 2).globalBatchSize == 64)
  }

  @Test func defaults() throws {
    let nothing = try plan()
    #expect(nothing.microBatchSize == 8 && nothing.gradientAccumulation == 1)
    let twelve = try plan(gbs: 12)
    #expect(twelve.microBatchSize == 6 && twelve.gradientAccumulation == 2)
    let prime = try plan(gbs: 13)
    #expect(prime.microBatchSize == 1 && prime.gradientAccumulation == 13)
  }

  @Test func indivisibleNamesTheNearestValues() {
    let conflict = #expect(throws: BatchPlan.Conflict.self) { try plan(mbs: 3, gbs: 100, dp: 4) }
    #expect(conflict?.key == "global_batch_size")
    #expect(conflict?.message == "100 samples cannot be divided among micro-batch 3 x 4 replicas")
    #expect(conflict?.remedy == "use 96 or 108 samples")
  }

  @Test func nearestValuesAreInTheUnitThatWasWritten() {
    let indivisible = #expect(throws: BatchPlan.Conflict.self) { try plan(mbs: 3, tokens: 8192) }
    #expect(indivisible?.remedy == "use 12288 tokens")
    // The values also suit the micro-batch: 5 x 4096 would have failed next.
    let broken = #expect(throws: BatchPlan.Conflict.self) { try plan(mbs: 2, tokens: 20_000) }
    #expect(broken?.key == "global_batch_tokens")
    #expect(broken?.remedy == "use 16384 or 24576")
  }

  @Test func contradictions() {
    let both = #expect(throws: BatchPlan.Conflict.self) { try plan(gbs: 3, tokens: 8192) }
    #expect(both?.message == "8192 tokens are 2 samples of 4096, but global_batch_size is 3")
    let three = #expect(throws: BatchPlan.Conflict.self) { try plan(mbs: 2, ga: 2, gbs: 5) }
    #expect(three?.remedy == "use 4 samples, or remove one of the factors")
    // Absurd numbers are refused before they overflow.
    #expect(throws: BatchPlan.Conflict.self) { try plan(gbs: 1 << 40, tokens: 4096, sequence: 1 << 24) }
    #expect(throws: BatchPlan.Conflict.self) { try plan(mbs: 1 << 20, ga: 1 << 20, dp: 1 << 20) }
  }
}
