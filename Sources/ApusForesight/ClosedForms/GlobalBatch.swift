/// The batch of one optimizer step and how it comes about.
///
/// global batch = micro-batch · accumulation · data-parallel degree (domain reference S18, S24);
/// in tokens, times the sequence length (S5). Gradients of all of it are averaged before the step (S17).
package struct GlobalBatch: Hashable, Sendable {
  /// Sequences of one forward pass on one rank.
  package let microBatchSize: Int
  /// Forward and backward passes of a rank before the optimizer steps.
  package let accumulationCount: Int
  package let dataParallelDegree: Int
  /// Tokens of a sequence.
  package let sequenceLength: Int

  package init(microBatchSize: Int, accumulationCount: Int, dataParallelDegree: Int, sequenceLength: Int) {
    self.microBatchSize = microBatchSize
    self.accumulationCount = accumulationCount
    self.dataParallelDegree = dataParallelDegree
    self.sequenceLength = sequenceLength
  }

  /// Finds the accumulation that reaches a batch given in tokens.
  ///
  /// Data parallelism is used up first, as it runs at the same time; accumulation makes up the rest.
  /// The article's recipe divides the batch by the data-parallel degree alone; counted in samples it
  /// must be divided by the micro-batch too (erratum 11).
  ///
  /// - Throws: where the batch is no whole number of sequences, or cannot be shared out evenly.
  package init(
    tokens: Int, sequenceLength: Int, microBatchSize: Int, dataParallelDegree: Int
  ) throws(ForesightError) {
    guard tokens >= sequenceLength, tokens.isMultiple(of: sequenceLength) else {
      throw .partialSequence(tokens: tokens, sequenceLength: sequenceLength)
    }
    let samples = tokens / sequenceLength
    let atOnce = microBatchSize * dataParallelDegree
    guard samples.isMultiple(of: atOnce) else {
      let below = samples / atOnce * atOnce
      throw .indivisibleBatch(
        samples: samples, by: atOnce,
        as: "micro-batch \(microBatchSize) times data-parallel degree \(dataParallelDegree)",
        nearest: [below, below + atOnce].filter { $0 > 0 })
    }
    self.init(
      microBatchSize: microBatchSize, accumulationCount: samples / atOnce,
      dataParallelDegree: dataParallelDegree, sequenceLength: sequenceLength)
  }

  package var sampleCount: Int { microBatchSize * accumulationCount * dataParallelDegree }

  package var tokenCount: Int { sampleCount * sequenceLength }

  /// Optimizer steps that see at least so many tokens (S4).
  package func stepCount(toSee tokens: Int) -> Int {
    tokens <= 0 ? 0 : (tokens - 1) / tokenCount + 1
  }
}
