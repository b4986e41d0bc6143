/// How good predictions of a set of rows are.
package struct SetScores: Hashable, Sendable, Codable {
  package var rows: Int
  package var stepTimeMedianError: Double?
  /// After removing one factor, the one that makes the median ratio 1.
  package var stepTimeMedianErrorScaled: Double?
  /// Median of predicted / measured - 1.
  package var stepTimeBias: Double?
  /// What predicting every row with one utilisation leaves (`ConstantUtilization`): the error to beat.
  package var constantUtilizationError: Double?
  package var spearman: Double?
  package var memoryRows: Int
  package var memoryMedianError: Double?
  /// Median absolute error in GiB.
  package var memoryMedianErrorGiB: Double?

  enum CodingKeys: String, CodingKey {
    case rows, spearman
    case stepTimeMedianError = "step_time_median_error"
    case stepTimeMedianErrorScaled = "step_time_median_error_scaled"
    case stepTimeBias = "step_time_bias"
    case constantUtilizationError = "constant_utilisation_error"
    case memoryRows = "memory_rows"
    case memoryMedianError = "memory_median_error"
    case memoryMedianErrorGiB = "memory_median_error_gib"
  }

  /// One measured step and what was foreseen.
  package struct TimedRow: Hashable, Sendable {
    package var predicted: Double
    package var measured: Double
    /// Seconds at the devices' peak, by each counting of attention.
    package var ideal: [Double]

    package init(predicted: Double, measured: Double, ideal: [Double] = []) {
      self.predicted = predicted
      self.measured = measured
      self.ideal = ideal
    }
  }

  /// Whether the error after one factor is no worse than one utilisation's, beyond one point; nil without rows.
  package var beatsConstantUtilization: Bool? {
    guard let error = stepTimeMedianErrorScaled, let constant = constantUtilizationError else { return nil }
    return error <= (constant > 0.1 ? 0.6 * constant : constant + 0.01)
  }

  package init(time: [TimedRow], memory: [(predicted: Double, measured: Double)]) {
    rows = time.count
    let ratios = time.map { $0.predicted / $0.measured }
    stepTimeMedianError = median(ratios.map { abs($0 - 1) })
    if let factor = median(ratios) {
      stepTimeMedianErrorScaled = median(ratios.map { abs($0 / factor - 1) })
      stepTimeBias = factor - 1
    }
    constantUtilizationError = ConstantUtilization.error(time)
    spearman = rankCorrelation(time.map(\.predicted), time.map(\.measured))
    memoryRows = memory.count
    memoryMedianError = median(memory.map { abs($0.predicted / $0.measured - 1) })
    memoryMedianErrorGiB = median(memory.map { abs($0.predicted - $0.measured) })
  }
}

/// Rows of one comparison: does the predicted order of layouts agree with the measured one?
package struct GroupScores: Hashable, Sendable, Codable {
  package var set: String
  package var model: String
  package var devices: Int
  package var sequenceLength: Int
  package var globalBatch: Int
  package var rows: Int
  package var rankCorrelation: Double?
  /// 1 - measured throughput of the predicted best / measured throughput of the best.
  package var regret: Double

  enum CodingKeys: String, CodingKey {
    case set, model, rows, regret
    case devices = "gpus"
    case sequenceLength = "seq_len"
    case globalBatch = "global_batch_seqs"
    case rankCorrelation = "rank_correlation"
  }
}
