import ApusCore

/// Many runs as pictures: the scatter of S1, the best configuration for each model and number of nodes (B7), and
/// prediction against measurement where a record has both.
package struct RunChart: Sendable {
  package let title: String
  /// Where the runs come from, one line.
  package let source: String
  package let runs: [RunPoint]
  /// Names of the fields of a record.
  package let columns: [String]
  /// One list of fields a record, as written in the file.
  package let records: [[String]]

  package init(title: String, source: String, runs: [RunPoint], columns: [String], records: [[String]]) {
    self.title = title
    self.source = source
    self.runs = runs
    self.columns = columns
    self.records = records
  }

  /// Models in the order of the file.
  package var models: [String] {
    var seen = Set<String>()
    return runs.map(\.model).filter { seen.insert($0).inserted }
  }

  /// Numbers of nodes, ascending.
  package var nodes: [Int] { Set(runs.map(\.nodes)).sorted() }

  /// The fastest finished run of a model on so many nodes, of one origin.
  package func best(model: String, nodes: Int, _ origin: RunPoint.Origin) -> RunPoint? {
    runs.filter {
      $0.model == model && $0.nodes == nodes && $0.origin == origin && $0.outcome == .finished
    }.max { $0.tokensPerSecond < $1.tokensPerSecond }
  }

  /// Origins that occur.
  package var origins: [RunPoint.Origin] {
    RunPoint.Origin.allCases.filter { origin in runs.contains { $0.origin == origin } }
  }

  /// Records that were measured and simulated: step times in seconds.
  package var pairs: [(record: Int, measured: Double, simulated: Double)] {
    var measured: [Int: Double] = [:]
    var simulated: [Int: Double] = [:]
    for run in runs where run.outcome == .finished {
      guard let seconds = run.stepSeconds else { continue }
      if run.origin == .measured { measured[run.record] = seconds } else { simulated[run.record] = seconds }
    }
    return measured.keys.sorted().compactMap { record in
      guard let real = measured[record], let foreseen = simulated[record] else { return nil }
      return (record, real, foreseen)
    }
  }

  /// How near the simulated step times came to the measured ones; nil where no record has both.
  package var accuracy: ForeseenAccuracy? {
    ForeseenAccuracy(pairs.map { (foreseen: $0.simulated, measured: $0.measured) })
  }

  /// How many runs of a kind there are, in words.
  package var counts: String {
    origins.map { origin in
      let all = runs.filter { $0.origin == origin }
      let failed = all.filter { $0.outcome == .failed }.count
      return "\((all.count - failed).grouped) finished \(origin.rawValue), \(failed.grouped) failed"
    }.joined(separator: "; ")
  }

  /// Whether each model has a panel of its own; more than these would be small.
  package var hasPanels: Bool { (2...6).contains(models.count) }

  /// A place beside the column's middle, -0.5 to 0.5, so that points of a column do not hide each other. With
  /// `secondSpread` any number of points covers a square evenly (the additive sequence of the plastic number).
  static func spread(_ index: Int) -> Double { fraction(Double(index) * 0.754_877_666_246_693) }
  static func secondSpread(_ index: Int) -> Double { fraction(Double(index) * 0.569_840_290_998_053) }

  private static func fraction(_ turn: Double) -> Double { turn - turn.rounded(.down) - 0.5 }
}
