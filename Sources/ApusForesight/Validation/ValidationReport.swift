import ApusCore

/// Predictions of a table of runs beside what was measured.
package struct ValidationReport: Sendable {
  package struct Outcome: Sendable {
    package var row: PublishedRow
    package var forecast: StepForecast?

    /// Predicted peak in GiB, in the kind of figure that the row gives.
    package var predictedMemory: Double? {
      guard let memory = forecast?.memory else { return nil }
      let bytes =
        switch row.memoryKind {
        case .allocated: memory.allocatedPeak
        case .reserved: memory.reservedPeak
        case .device: memory.devicePeak
        }
      return bytes / 0x1p30
    }
  }

  package let outcomes: [Outcome]

  /// The track that `sets` counts; a blank track is this one.
  package static let primaryTrack = "bf16/fp16 dense"

  /// Predicts every row that can be predicted.
  package init(_ table: CSVTable, _ catalogue: HardwareCatalogue, _ constants: CostConstants) {
    let simulator = StepSimulator(constants)
    var rows = table.rows.map { PublishedRow(table, $0, catalogue) }
    let forecasts = simulator.forecasts(rows.compactMap(\.job))
    var next = forecasts.makeIterator()
    outcomes = rows.indices.map { index in
      guard rows[index].job != nil, let forecast = next.next() else {
        return Outcome(row: rows[index], forecast: nil)
      }
      switch forecast {
      case .success(let forecast): return Outcome(row: rows[index], forecast: forecast)
      case .failure(let error):
        rows[index].problem = "\(error)"
        return Outcome(row: rows[index], forecast: nil)
      }
    }
  }

  // MARK: Rows

  package var rowsScored: Int { outcomes.count { $0.forecast != nil } }
  /// Reasons why rows were skipped, with how many.
  package var rowsSkipped: [(reason: String, count: Int)] {
    var counts: [String: Int] = [:]
    for outcome in outcomes where outcome.forecast == nil {
      counts[outcome.row.problem ?? "", default: 0] += 1
    }
    return counts.sorted { ($1.value, $0.key) < ($0.value, $1.key) }.map { ($0.key, $0.value) }
  }

  /// Measurements that could not be read, with how many.
  package var measurementsUnread: [(reason: String, count: Int)] {
    var counts: [String: Int] = [:]
    for outcome in outcomes {
      for reason in outcome.row.unread { counts[reason, default: 0] += 1 }
    }
    return counts.sorted { ($1.value, $0.key) < ($0.value, $1.key) }.map { ($0.key, $0.value) }
  }

  private func time(_ outcomes: [Outcome]) -> [SetScores.TimedRow] {
    outcomes.compactMap { outcome in
      guard outcome.row.scoresTime, !outcome.row.failed, let forecast = outcome.forecast,
        let measured = outcome.row.measuredSeconds
      else { return nil }
      return SetScores.TimedRow(
        predicted: forecast.stepSeconds, measured: measured,
        ideal: [forecast.utilizationCausal, forecast.utilizationFull].map { $0 * forecast.stepSeconds })
    }
  }

  private func memory(_ outcomes: [Outcome]) -> [(predicted: Double, measured: Double)] {
    outcomes.compactMap { outcome in
      guard outcome.row.scoresMemory, !outcome.row.failed, let predicted = outcome.predictedMemory,
        let measured = outcome.row.measuredMemory
      else { return nil }
      return (predicted, measured)
    }
  }

  private func scores(_ outcomes: [Outcome]) -> SetScores {
    SetScores(time: time(outcomes), memory: memory(outcomes))
  }

  private static func isPrimary(_ outcome: Outcome) -> Bool {
    outcome.row.track.isEmpty || outcome.row.track == primaryTrack
  }

  // MARK: Scores

  /// Scores of each set's rows of the primary track.
  package var sets: [String: SetScores] {
    Dictionary(grouping: outcomes.filter(Self.isPrimary), by: \.row.set).mapValues(scores)
      .filter { $0.value.rows > 0 || $0.value.memoryRows > 0 }
  }

  /// All rows of the primary track.
  package var overall: SetScores { scores(outcomes.filter(Self.isPrimary)) }

  /// Scores of the other tracks by track.
  package var tracks: [String: SetScores] {
    Dictionary(grouping: outcomes.filter { !Self.isPrimary($0) }, by: \.row.track).mapValues(scores)
  }

  /// Groups of at least five rows.
  package var groups: [GroupScores] {
    var grouped: [String: [(outcome: Outcome, predicted: Double, measured: Double)]] = [:]
    for outcome in outcomes {
      guard outcome.row.scoresTime, !outcome.row.failed, let forecast = outcome.forecast,
        let job = outcome.row.job,
        let measured = outcome.row.measuredSeconds
      else { continue }
      let throughput = Double(job.tokensPerStep) / measured / Double(job.layout.worldSize)
      grouped[outcome.row.group, default: []].append(
        (outcome, forecast.tokensPerSecondPerDevice, throughput))
    }
    return grouped.filter { $0.value.count >= 5 }.sorted { $0.key < $1.key }.map { _, rows in
      let best = rows.map(\.measured).max() ?? 1
      let chosen = rows.max { $0.predicted < $1.predicted }?.measured ?? 0
      let (row, job) = (rows[0].outcome.row, rows[0].outcome.row.job)
      return GroupScores(
        set: row.set, model: row.modelName, devices: job?.layout.worldSize ?? 0,
        sequenceLength: job?.sequenceLength ?? 0,
        globalBatch: (job?.tokensPerStep ?? 0) / (job?.sequenceLength ?? 1), rows: rows.count,
        rankCorrelation: ApusForesight.rankCorrelation(rows.map(\.predicted), rows.map(\.measured)),
        regret: 1 - chosen / best)
    }
  }

  /// Runs that failed and were foreseen as out of memory, and runs that fitted and were called so.
  package var failures: (failed: Int, foreseen: Int, fitted: Int, calledFailed: Int) {
    var result = (failed: 0, foreseen: 0, fitted: 0, calledFailed: 0)
    for outcome in outcomes {
      guard let forecast = outcome.forecast else { continue }
      if outcome.row.failed {
        result.failed += 1
        result.foreseen += forecast.memory.fits ? 0 : 1
      } else {
        result.fitted += 1
        result.calledFailed += forecast.memory.fits ? 0 : 1
      }
    }
    return result
  }
}
