extension Reference {
  /// The log of the sum of exponentials of a row, with the maximum taken out.
  private static func logSumExp(_ row: Input, _ V: Int) -> Scalar {
    var maximum = row[0]
    for i in 0..<V where row[i] > maximum { maximum = row[i] }
    var sum: Scalar = 0
    for i in 0..<V { sum += exponential(row[i] - maximum) }
    return maximum + logarithm(sum)
  }

  /// losses[t] = logsumexp(logits[t]) - logits[t, targets[t]]; a negative target gives 0.
  package static func crossEntropyForward(
    _ losses: Output, _ logits: Input, _ targets: UnsafePointer<Int32>, _ T: Int, _ V: Int
  ) {
    for t in 0..<T {
      losses[t] = targets[t] < 0 ? 0 : logSumExp(logits + t * V, V) - logits[t * V + Int(targets[t])]
    }
  }

  /// The same losses; `logits` become scale * (softmax - one-hot target), 0 where the target is negative.
  package static func crossEntropyBackward(
    _ losses: Output, _ logits: Output, _ targets: UnsafePointer<Int32>, _ T: Int, _ V: Int, _ scale: Scalar
  ) {
    for t in 0..<T {
      let row = logits + t * V
      if targets[t] < 0 {
        losses[t] = 0
        row.update(repeating: 0, count: V)
        continue
      }
      let total = logSumExp(row, V)
      losses[t] = total - row[Int(targets[t])]
      for i in 0..<V {
        row[i] = scale * (exponential(row[i] - total) - (i == Int(targets[t]) ? 1 : 0))
      }
    }
  }
}
