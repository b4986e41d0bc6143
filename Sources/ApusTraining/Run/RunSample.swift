import ApusData
import ApusReport

/// Text that a run's model writes at its end.
struct RunSample {
  private let prompt: String
  private let tokenizer: Tokenizer
  private let generator: Generator

  /// Takes the weights as they are from all ranks, which call this together. Gives nil on all but the first, and
  /// where there is no tokenizer.
  init?(_ prompt: String, _ setup: TrainingSetup) throws {
    guard let tokenizer = setup.data.tokenizer else { return nil }
    let generator =
      setup.place.isFirst
      ? try Generator(setup.model, capacity: setup.model.maximumSequenceLength, threads: setup.threads) : nil
    let destinations = generator.map { generator in
      Dictionary(
        uniqueKeysWithValues: WeightExchange(generator.executor).parts(.weights).map { ($0.name, $0.values) })
    }
    let whole = WholeTensors(executor: setup.executor, group: setup.place.world.data)
    try whole.forEach(
      { $0.weightsOfRecord },
      {
        _ = destinations?[$0.part.name]?.update(fromContentsOf: $0.values)
      })
    guard let generator else { return nil }
    (self.prompt, self.tokenizer, self.generator) = (prompt, tokenizer, generator)
  }

  /// Continues the prompt with moderate randomness; the seed is fixed, so the same weights write the same text.
  func write(count: Int) -> RunReport.Sample {
    var tokens: [Int32] = []
    generator.generate(
      tokenizer.encode(prompt), count: count, choosing: Sampling(temperature: 0.8, topK: 50, seed: 1)
    ) { token in
      guard token != tokenizer.endOfText else { return false }
      tokens.append(token)
      return true
    }
    return RunReport.Sample(prompt: prompt, continuation: tokenizer.decode(tokens))
  }
}
