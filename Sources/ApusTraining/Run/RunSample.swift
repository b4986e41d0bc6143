import ApusCheckpoint
import ApusData
import ApusReport

/// Text that a run's model writes at its end.
enum RunSample {
  /// Continues `prompt` with moderate randomness; the seed is fixed, so the same weights write the same text.
  ///
  /// - Parameter checkpoint: the step to read weights from where no rank holds them all.
  static func write(
    _ prompt: String, count: Int, _ tokenizer: Tokenizer, _ setup: TrainingSetup, checkpoint: Int?
  ) throws -> RunReport.Sample {
    let generator = try Generator(
      setup.model, capacity: setup.model.maximumSequenceLength, threads: setup.threads)
    let (from, to) = (WeightExchange(setup.executor), WeightExchange(generator.executor))
    if setup.place.isAlone {
      for (source, destination) in zip(from.parts(.weights), to.parts(.weights)) {
        _ = destination.values.update(fromContentsOf: source.values)
      }
    } else if let checkpoint {
      try to.read(from: CheckpointReader(opening: setup.store.url(of: checkpoint), verifying: false))
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
