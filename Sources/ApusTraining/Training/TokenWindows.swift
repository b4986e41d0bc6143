/// Windows drawn at random from tokens in memory, a pure function of seed and sample.
package struct TokenWindows: BatchSource {
  private let tokens: [Int32]
  private let sequenceLength: Int
  private let vocabularySize: Int
  private let seed: UInt64

  package init(tokens: [Int32], sequenceLength: Int, vocabularySize: Int, seed: UInt64) {
    self.tokens = tokens
    self.sequenceLength = sequenceLength
    self.vocabularySize = vocabularySize
    self.seed = seed
  }

  package func fill(
    inputs: UnsafeMutableBufferPointer<Int32>, targets: UnsafeMutableBufferPointer<Int32>, first: Int,
    count: Int
  ) throws {
    for sample in 0..<count {
      var random = SplitMix64(state: seed &+ UInt64(first + sample))
      let start = Int(random.next() % UInt64(tokens.count - sequenceLength))
      for position in 0...sequenceLength {
        let token = tokens[start + position]
        guard token >= 0, Int(token) < vocabularySize else {
          throw TrainingError.data(
            "token \(token) at position \(start + position) is not in the model's vocabulary of \(vocabularySize)"
          )
        }
        if position < sequenceLength { inputs[sample * sequenceLength + position] = token }
        if position > 0 { targets[sample * sequenceLength + position - 1] = token }
      }
    }
  }
}
