extension Reference {
  /// out[t] = table[ids[t]].
  package static func embeddingForward(
    _ out: Output, _ table: Input, _ ids: UnsafePointer<Int32>, _ T: Int, _ D: Int
  ) {
    for t in 0..<T {
      for d in 0..<D { out[t * D + d] = table[Int(ids[t]) * D + d] }
    }
  }

  /// dtable[ids[t]] += dout[t]; without `accumulate` all V rows are zeroed first.
  package static func embeddingBackward(
    _ dtable: Output, _ dout: Input, _ ids: UnsafePointer<Int32>, _ T: Int, _ D: Int, _ V: Int,
    _ accumulate: Bool
  ) {
    if !accumulate { dtable.update(repeating: 0, count: V * D) }
    for t in 0..<T {
      for d in 0..<D { dtable[Int(ids[t]) * D + d] += dout[t * D + d] }
    }
  }

  /// out[t] = x[t] + table[start + t % S]. `out` may be `x`.
  package static func positionForward(
    _ out: Output, _ x: Input, _ table: Input, _ T: Int, _ D: Int, _ S: Int, _ start: Int
  ) {
    for t in 0..<T {
      for d in 0..<D { out[t * D + d] = x[t * D + d] + table[(start + t % S) * D + d] }
    }
  }

  /// dtable[p] (+)= sum of dout[t] over t % S == p; rows S..<P are zeroed without `accumulate`.
  package static func positionBackward(
    _ dtable: Output, _ dout: Input, _ T: Int, _ D: Int, _ S: Int, _ P: Int, _ accumulate: Bool
  ) {
    if !accumulate { dtable.update(repeating: 0, count: P * D) }
    for t in 0..<T {
      for d in 0..<D { dtable[(t % S) * D + d] += dout[t * D + d] }
    }
  }
}
