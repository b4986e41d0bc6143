import ApusCore

/// What a user may ask of foresight that has no answer.
package enum ForesightError: Error, Equatable, Sendable, CustomStringConvertible {
  /// A batch cannot be shared out evenly; `nearest` are the counts of samples closest to `samples` that can.
  case indivisibleBatch(samples: Int, by: Int, as: String, nearest: [Int])
  /// A batch in tokens is no whole number of sequences.
  case partialSequence(tokens: Int, sequenceLength: Int)
  /// A model or batch so large that its bytes or FLOPs exceed what 64 bits count.
  case beyondCounting(parameters: Int, tokens: Int)
  /// A pipeline schedule that is not defined for these numbers of devices and micro-batches.
  case impossibleSchedule(String)
  /// A pipeline whose devices wait for each other for ever; who waits for what.
  case deadlock(String)

  package var description: String {
    switch self {
    case .indivisibleBatch(let samples, let divisor, let name, let nearest):
      "a global batch of \(samples) samples is no multiple of \(divisor) (\(name)); "
        + "the nearest that are: \(nearest.map(String.init).joined(separator: ", "))"
    case .partialSequence(let tokens, let sequenceLength):
      "a global batch of \(tokens) tokens is no whole number of sequences of \(sequenceLength); "
        + "the nearest below is \(tokens / sequenceLength * sequenceLength), "
        + "above \((tokens / sequenceLength + 1) * sequenceLength)"
    case .beyondCounting(let parameters, let tokens):
      "\(parameters.grouped) parameters on \(tokens.grouped) tokens a micro-batch exceed what can be counted; "
        + "use a smaller model, micro-batch or sequence"
    case .impossibleSchedule(let problem): problem
    case .deadlock(let who): "the pipeline stands still: \(who)"
    }
  }
}
