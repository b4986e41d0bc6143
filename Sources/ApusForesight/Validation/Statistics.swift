/// Middle value; the mean of the two middle ones of an even number. nil of nothing.
package func median(_ values: [Double]) -> Double? {
  guard !values.isEmpty else { return nil }
  let sorted = values.sorted()
  let half = sorted.count / 2
  return sorted.count.isMultiple(of: 2) ? (sorted[half - 1] + sorted[half]) / 2 : sorted[half]
}

package func mean(_ values: [Double]) -> Double? {
  values.isEmpty ? nil : values.reduce(0, +) / Double(values.count)
}

/// Ranks from 1, equal values sharing the mean of theirs.
package func ranks(_ values: [Double]) -> [Double] {
  let order = values.indices.sorted { values[$0] < values[$1] }
  var result = [Double](repeating: 0, count: values.count)
  var start = 0
  while start < order.count {
    var end = start
    while end + 1 < order.count, values[order[end + 1]] == values[order[start]] { end += 1 }
    for index in start...end { result[order[index]] = Double(start + end) / 2 + 1 }
    start = end + 1
  }
  return result
}

/// Spearman's rank correlation; nil where fewer than two pairs or no variation.
package func rankCorrelation(_ a: [Double], _ b: [Double]) -> Double? {
  guard a.count == b.count, a.count > 1 else { return nil }
  let (x, y) = (ranks(a), ranks(b))
  let middle = Double(a.count + 1) / 2
  var (xy, xx, yy) = (0.0, 0.0, 0.0)
  for (p, q) in zip(x, y) {
    xy += (p - middle) * (q - middle)
    xx += (p - middle) * (p - middle)
    yy += (q - middle) * (q - middle)
  }
  return xx > 0 && yy > 0 ? xy / (xx * yy).squareRoot() : nil
}
