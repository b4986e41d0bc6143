import ApusProgram

/// Time of one kind of instruction: start + FLOPs / rate + bytes / bandwidth + bytes beyond a cache / bandwidth, no
/// term negative, fitted to the smallest relative error.
package struct FittedCost: Codable, Hashable, Sendable {
  package struct Sample: Hashable, Sendable {
    let terms: [Double]
    let seconds: Double

    package init(_ cost: Cost, _ seconds: Double) {
      terms = FittedCost.terms(cost)
      self.seconds = max(seconds, 1e-8)
    }
  }

  /// Bytes that stay near the processor between instructions; beyond them memory sets the pace.
  private static let cacheBytes = 8 << 20

  private let factors: [Double]

  private static func terms(_ cost: Cost) -> [Double] {
    [1, Double(cost.flops), Double(cost.bytes), Double(max(0, cost.bytes - cacheBytes))]
  }

  /// Least squares over every subset of the terms; the best whose factors are all positive is taken.
  package init(_ samples: [Sample]) {
    var best: (error: Double, factors: [Double])?
    for subset in 1..<16 {
      let chosen = (0..<4).filter { subset >> $0 & 1 == 1 }
      guard let solved = Self.solve(samples, chosen), solved.allSatisfy({ $0 >= 0 }) else { continue }
      var factors = [0.0, 0, 0, 0]
      for (term, factor) in zip(chosen, solved) { factors[term] = factor }
      let error = samples.reduce(0) { sum, sample in
        let off = Self.seconds(factors, sample.terms) / sample.seconds - 1
        return sum + off * off
      }
      if best == nil || error < (best?.error ?? 0) { best = (error, factors) }
    }
    factors = best?.factors ?? [0, 0, 0, 0]
  }

  package func seconds(_ cost: Cost) -> Double { Self.seconds(factors, Self.terms(cost)) }

  private static func seconds(_ factors: [Double], _ terms: [Double]) -> Double {
    zip(factors, terms).reduce(0) { $0 + $1.0 * $1.1 }
  }

  /// The normal equations of the relative error, terms scaled to their largest, by elimination with pivots; nil where
  /// the terms do not determine the factors.
  private static func solve(_ samples: [Sample], _ chosen: [Int]) -> [Double]? {
    let n = chosen.count
    let scale = chosen.map { term in samples.map { $0.terms[term] / $0.seconds }.max() ?? 0 }
    guard scale.allSatisfy({ $0 > 0 }), samples.count >= n else { return nil }
    var rows = Array(repeating: Array(repeating: 0.0, count: n + 1), count: n)
    for sample in samples {
      let values = zip(chosen, scale).map { sample.terms[$0] / sample.seconds / $1 }
      for i in 0..<n {
        for j in 0..<n { rows[i][j] += values[i] * values[j] }
        rows[i][n] += values[i]
      }
    }
    for column in 0..<n {
      let pivot = (column..<n).max { abs(rows[$0][column]) < abs(rows[$1][column]) } ?? column
      guard abs(rows[pivot][column]) > 1e-10 else { return nil }
      rows.swapAt(column, pivot)
      for row in 0..<n where row != column {
        let factor = rows[row][column] / rows[column][column]
        for j in column...n { rows[row][j] -= factor * rows[column][j] }
      }
    }
    return (0..<n).map { rows[$0][n] / rows[$0][$0] / scale[$0] }
  }
}
