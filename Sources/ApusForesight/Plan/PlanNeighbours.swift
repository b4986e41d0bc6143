import ApusCore

extension PlanSearch {
  /// A choice one step away from the best, and why it loses.
  package struct Neighbour: Hashable, Sendable {
    /// What is changed: `tensor 8 -> 4, data 128 -> 256`.
    package let change: String
    package let reason: String
    /// Time over the best's, less 1; nil where it does not fit.
    package let slower: Double?
  }

  /// One step along each coordinate, up and down. Degrees are traded against the data axis.
  package var neighbours: [Neighbour] {
    guard let best else { return [] }
    let c = best.choice
    var steps: [(String, Choice)] = []
    func step(_ change: String, _ edit: (inout Choice) -> Void) {
      var other = c
      edit(&other)
      if other.zeroStage == 0 || c.shardDegree == c.data { other.shardDegree = other.data }
      steps.append((change, other))
    }
    func trade(_ name: String, _ axis: WritableKeyPath<Choice, Int>) {
      let degree = c[keyPath: axis]
      if c.data.isMultiple(of: 2) {
        step("\(name) \(degree) -> \(2 * degree), data \(c.data) -> \(c.data / 2)") {
          $0[keyPath: axis] *= 2
          $0.data /= 2
        }
      }
      if degree.isMultiple(of: 2) {
        step("\(name) \(degree) -> \(degree / 2), data \(c.data) -> \(2 * c.data)") {
          $0[keyPath: axis] /= 2
          $0.data *= 2
          if $0.pipeline == 1 { $0.schedule = .oneForwardOneBackward }
        }
      }
    }
    trade("tensor", \.tensor)
    trade("context", \.context)
    trade("pipeline", \.pipeline)
    step("expert \(c.expert) -> \(2 * c.expert)") { $0.expert *= 2 }
    if c.expert > 1 { step("expert \(c.expert) -> \(c.expert / 2)") { $0.expert /= 2 } }
    for stage in 0...3 where stage != c.zeroStage {
      step("ZeRO \(c.zeroStage) -> \(stage)") { $0.zeroStage = stage }
    }
    for factor in [2, 4] {
      step("micro-batch \(c.microBatch) -> \(factor * c.microBatch)") { $0.microBatch *= factor }
    }
    if c.microBatch > 1 { step("micro-batch \(c.microBatch) -> \(c.microBatch / 2)") { $0.microBatch /= 2 } }
    for other in [JobRecomputation.none, .attention, .full] where other != c.recomputation {
      step("recomputation \(c.recomputation.word) -> \(other.word)") { $0.recomputation = other }
    }
    for other in schedules where other != c.schedule {
      step("schedule \(c.schedule.name) -> \(other.words)") { $0.schedule = other }
    }
    return steps.compactMap { change, other in neighbour(change, other, best) }
  }

  private var schedules: [PipelineSchedule] {
    [
      .oneForwardOneBackward, .interleaved(chunks: 2, group: nil), .interleaved(chunks: 4, group: nil),
      .zeroBubbleH1, .zeroBubbleH2, .dualPipe,
    ]
  }

  /// Nil for what was not tried because its numbers do not divide.
  private func neighbour(_ change: String, _ other: Choice, _ best: Entry) -> Neighbour? {
    if let verdict = verdict(other) {
      return Neighbour(change: change, reason: verdict.description, slower: nil)
    }
    guard let entry = entry(other) else { return nil }
    let slower = entry.forecast.stepSeconds / best.forecast.stepSeconds - 1
    return Neighbour(
      change: change, reason: Self.reason(entry.forecast, than: best.forecast), slower: slower)
  }

  /// What grows and what shrinks most, in seconds of the step.
  package static func reason(_ forecast: StepForecast, than best: StepForecast) -> String {
    let changes = zip(forecast.parts, best.parts).map { (name: $0.name, seconds: $0.seconds - $1.seconds) }
    let notable = 0.002 * best.stepSeconds
    let grown = changes.filter { $0.seconds > notable }.sorted { $0.seconds > $1.seconds }.prefix(2)
    let shrunk = changes.filter { $0.seconds < -notable }.sorted { $0.seconds < $1.seconds }.prefix(1)
    let words = (Array(grown) + Array(shrunk)).map {
      "\($0.seconds > 0 ? "+" : "-")\(DurationWords.text(abs($0.seconds))) \($0.name)"
    }
    return words.isEmpty ? "as fast, within 0.2 %, with more memory" : words.joined(separator: ", ")
  }
}

extension StepForecast {
  /// Where the step's time goes, by name.
  package var parts: [(name: String, seconds: Double)] {
    [
      ("computing", computeSeconds), ("waiting for the host", hostSeconds), ("bubble", bubbleSeconds),
      ("tensor communication", exposed[.tensor] ?? 0), ("context communication", exposed[.context] ?? 0),
      ("expert communication", exposed[.expert] ?? 0),
      ("pipeline communication", exposed[.pipeline] ?? 0), ("data communication", exposed[.data] ?? 0),
      ("optimizer", optimizerSeconds),
    ]
  }
}

extension JobRecomputation {
  /// As in a configuration.
  package var word: String { self == .attention ? "selective" : rawValue }
}

extension PipelineSchedule {
  /// The name, with its chunks where there are several.
  package var words: String {
    if case .interleaved(let chunks, _) = self { return "interleaved, \(chunks) chunks" }
    return name
  }
}

/// Seconds in the unit that keeps a few digits.
package enum DurationWords {
  package static func text(_ seconds: Double) -> String {
    if seconds >= 100 { return "\(seconds.formatted(decimals: 0)) s" }
    if seconds >= 1 { return "\(seconds.formatted(decimals: 2)) s" }
    if seconds >= 1e-3 { return "\((1e3 * seconds).formatted(decimals: 1)) ms" }
    return "\((1e6 * seconds).formatted(decimals: 1)) us"
  }
}
