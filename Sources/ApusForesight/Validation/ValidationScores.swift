/// How good predictions of a set of rows are.
package struct SetScores: Hashable, Sendable, Codable {
  package var rows: Int
  package var stepTimeMedianError: Double?
  /// After removing one factor, the one that makes the median ratio 1.
  package var stepTimeMedianErrorScaled: Double?
  /// Median of predicted / measured - 1.
  package var stepTimeBias: Double?
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
    case memoryRows = "memory_rows"
    case memoryMedianError = "memory_median_error"
    case memoryMedianErrorGiB = "memory_median_error_gib"
  }

  package init(time: [(predicted: Double, measured: Double)], memory: [(predicted: Double, measured: Double)])
  {
    rows = time.count
    let ratios = time.map { $0.predicted / $0.measured }
    stepTimeMedianError = median(ratios.map { abs($0 - 1) })
    if let factor = median(ratios) {
      stepTimeMedianErrorScaled = median(ratios.map { abs($0 / factor - 1) })
      stepTimeBias = factor - 1
    }
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
