import ApusData
import ApusReport

/// Text that a run's model writes at its end.
enum RunSample {
  /// Continues `prompt` with moderate randomness; the seed is fixed, so the same weights write the same text.
  static func write(
    _ prompt: String, count: Int, _ tokenizer: Tokenizer, _ setup: TrainingSetup
  ) throws -> RunReport.Sample {
    let generator = try Generator(
      setup.model, capacity: setup.model.maximumSequenceLength, threads: setup.threads)
    let (from, to) = (WeightExchange(setup.executor), WeightExchange(generator.executor))
    for (source, destination) in zip(from.parts(.weights), to.parts(.weights)) {
      _ = destination.values.update(fromContentsOf: source.values)
    }
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
