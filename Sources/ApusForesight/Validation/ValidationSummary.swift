/// A validation as `apus validate --json` prints it.
package struct ValidationSummary: Encodable, Sendable {
  package struct Overall: Encodable, Sendable {
    package let scores: SetScores
    package let setMeanError, setMeanErrorScaled, setWorstError: Double?
    package let rankCorrelationMedian, regretMean, regretMedian: Double?
    /// Whether every set beats a constant utilisation, by the rule of `SetScores.beatsConstantUtilization`.
    package let beatsConstantUtilization: Bool?

    enum CodingKeys: String, CodingKey {
      case setMeanError = "step_time_median_error_set_mean"
      case setMeanErrorScaled = "step_time_median_error_scaled_set_mean"
      case setWorstError = "step_time_median_error_set_worst"
      case rankCorrelationMedian = "group_rank_correlation_median"
      case regretMean = "group_regret_mean"
      case regretMedian = "group_regret_median"
      case beatsConstantUtilization = "beats_constant_utilisation"
    }

    package func encode(to encoder: any Encoder) throws {
      try scores.encode(to: encoder)
      var container = encoder.container(keyedBy: CodingKeys.self)
      try container.encodeIfPresent(setMeanError, forKey: .setMeanError)
      try container.encodeIfPresent(setMeanErrorScaled, forKey: .setMeanErrorScaled)
      try container.encodeIfPresent(setWorstError, forKey: .setWorstError)
      try container.encodeIfPresent(rankCorrelationMedian, forKey: .rankCorrelationMedian)
      try container.encodeIfPresent(regretMean, forKey: .regretMean)
      try container.encodeIfPresent(regretMedian, forKey: .regretMedian)
      try container.encodeIfPresent(beatsConstantUtilization, forKey: .beatsConstantUtilization)
    }
  }

  package struct Skipped: Encodable, Sendable {
    package let reason: String
    package let rows: Int
  }

  package let rowsScored: Int
  package let rowsSkipped: [Skipped]
  /// Measured fields that are no numbers: their rows are predicted, and not scored by them.
  package let measurementsUnread: [Skipped]
  package let sets: [String: SetScores]
  package let overall: Overall
  package let tracks: [String: SetScores]
  package let groups: [GroupScores]
  package let failedRows, fittedRows: Int
  package let failedForeseen, fittedCalledFailed: Double?
  package let fittedConstants: Int

  enum CodingKeys: String, CodingKey {
    case sets, overall, tracks, groups
    case rowsScored = "rows_scored"
    case rowsSkipped = "rows_skipped"
    case measurementsUnread = "measurements_unread"
    case failedRows = "failed_rows"
    case fittedRows = "fitted_rows"
    case failedForeseen = "failed_foreseen"
    case fittedCalledFailed = "fitted_called_failed"
    case fittedConstants = "fitted_constants"
  }

  package init(_ report: ValidationReport) {
    rowsScored = report.rowsScored
    rowsSkipped = report.rowsSkipped.map { Skipped(reason: $0.reason, rows: $0.count) }
    measurementsUnread = report.measurementsUnread.map { Skipped(reason: $0.reason, rows: $0.count) }
    sets = report.sets
    tracks = report.tracks
    groups = report.groups
    let errors = sets.values.compactMap(\.stepTimeMedianError)
    let beats = sets.values.compactMap(\.beatsConstantUtilization)
    overall = Overall(
      scores: report.overall, setMeanError: mean(errors),
      setMeanErrorScaled: mean(sets.values.compactMap(\.stepTimeMedianErrorScaled)),
      setWorstError: errors.max(), rankCorrelationMedian: median(groups.compactMap(\.rankCorrelation)),
      regretMean: mean(groups.map(\.regret)), regretMedian: median(groups.map(\.regret)),
      beatsConstantUtilization: beats.isEmpty ? nil : beats.allSatisfy { $0 })
    let failures = report.failures
    failedRows = failures.failed
    fittedRows = failures.fitted
    failedForeseen = failures.failed > 0 ? Double(failures.foreseen) / Double(failures.failed) : nil
    fittedCalledFailed = failures.fitted > 0 ? Double(failures.calledFailed) / Double(failures.fitted) : nil
    fittedConstants = CostConstants.count
  }
}
