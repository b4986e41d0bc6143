extension Reference {
  /// out[t] = table[ids[t] - first] where that is one of the rank's `count` rows, otherwise zeros.
  package static func embeddingPartForward(
    _ out: Output, _ table: Input, _ ids: UnsafePointer<Int32>, _ T: Int, _ D: Int, _ first: Int, _ count: Int
  ) {
    for t in 0..<T {
      let row = Int(ids[t]) - first
      for d in 0..<D { out[t * D + d] = (0..<count).contains(row) ? table[row * D + d] : 0 }
    }
  }

  /// dtable[ids[t] - first] += dout[t] for the rank's rows; without `accumulate` all `rows` rows are zeroed first.
  package static func embeddingPartBackward(
    _ dtable: Output, _ dout: Input, _ ids: UnsafePointer<Int32>, _ T: Int, _ D: Int, _ rows: Int,
    _ first: Int, _ count: Int, _ accumulate: Bool
  ) {
    if !accumulate { dtable.update(repeating: 0, count: rows * D) }
    for t in 0..<T {
      let row = Int(ids[t]) - first
      guard (0..<count).contains(row) else { continue }
      for d in 0..<D { dtable[row * D + d] += dout[t * D + d] }
    }
  }

  /// Largest logit of the rank's `count` columns, sum of exponentials above it, target's logit or 0.
  package static func crossEntropyStatistics(
    _ statistics: Output, _ logits: Input, _ targets: UnsafePointer<Int32>, _ T: Int, _ V: Int, _ first: Int,
    _ count: Int
  ) {
    for t in 0..<T {
      let row = logits + t * V
      var maximum = -Scalar.infinity
      for i in 0..<count where row[i] > maximum { maximum = row[i] }
      var sum: Scalar = 0
      for i in 0..<count { sum += exponential(row[i] - maximum) }
      let target = Int(targets[t]) - first
      statistics[t * 3] = maximum
      statistics[t * 3 + 1] = sum
      statistics[t * 3 + 2] = (0..<count).contains(target) ? row[target] : 0
    }
  }

  /// The log of the sum over all ranks and the target's logit, from `ranks` x T statistics.
  private static func merge(_ statistics: Input, _ t: Int, _ T: Int, _ ranks: Int) -> (
    total: Scalar, target: Scalar
  ) {
    let parts = (0..<ranks).map { statistics + ($0 * T + t) * 3 }
    let maximum = parts.map { $0[0] }.max() ?? 0
    let sum = parts.reduce(Scalar(0)) { $0 + $1[1] * exponential($1[0] - maximum) }
    return (maximum + logarithm(sum), parts.reduce(Scalar(0)) { $0 + $1[2] })
  }

  /// losses[t] from the statistics of all ranks; a negative target gives 0.
  package static func crossEntropyMerge(
    _ losses: Output, _ statistics: Input, _ targets: UnsafePointer<Int32>, _ T: Int, _ ranks: Int
  ) {
    for t in 0..<T {
      let row = merge(statistics, t, T, ranks)
      losses[t] = targets[t] < 0 ? 0 : row.total - row.target
    }
  }

  /// The same losses; logits become scale * (softmax - one-hot target), 0 in padding and where the target is
  /// negative.
  package static func crossEntropyPartBackward(
    _ losses: Output, _ logits: Output, _ statistics: Input, _ targets: UnsafePointer<Int32>, _ T: Int,
    _ V: Int, _ first: Int, _ count: Int, _ ranks: Int, _ scale: Scalar
  ) {
    crossEntropyMerge(losses, statistics, targets, T, ranks)
    for t in 0..<T {
      let total = merge(statistics, t, T, ranks).total
      let target = Int(targets[t]) - first
      for i in 0..<V {
        let probability = i < count ? exponential(logits[t * V + i] - total) : 0
        logits[t * V + i] = targets[t] < 0 ? 0 : scale * (probability - (i == target ? 1 : 0))
      }
    }
  }
}
