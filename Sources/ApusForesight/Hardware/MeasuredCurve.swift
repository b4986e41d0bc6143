/// Seconds of one kind of instruction as a sum of its terms (`InstructionWork.Term`), each times a factor that is not
/// negative: a start, a rate of arithmetic, bandwidths in and out of the cache.
package struct MeasuredCurve: Hashable, Sendable {
  /// Seconds a unit of each term.
  package var factors: [Double]

  package init(factors: [Double]) { self.factors = factors }

  package func seconds(_ values: [Double]) -> Double {
    zip(factors, values).reduce(0) { $0 + $1.0 * $1.1 }
  }

  /// An instruction that was timed.
  package struct Sample: Hashable, Sendable {
    let values: [Double]
    let seconds: Double

    /// - Parameter values: of the terms.
    package init(_ values: [Double], seconds: Double) {
      self.values = values
      self.seconds = max(seconds, 1e-8)
    }
  }

  /// The factors of the smallest sum of squared relative errors, by coordinate descent: each factor in turn takes its
  /// best value that is not negative. The problem is convex, so this ends at its minimum (Franc, Hlaváč and Navara
  /// 2005, "Sequential coordinate-wise algorithm for the non-negative least squares problem").
  package init(fitting samples: [Sample]) {
    let count = samples.first?.values.count ?? 0
    // Terms relative to the measured time, each scaled to length 1.
    var columns = (0..<count).map { term in samples.map { $0.values[term] / $0.seconds } }
    let lengths = columns.map { column in column.reduce(0) { $0 + $1 * $1 }.squareRoot() }
    for term in 0..<count where lengths[term] > 0 {
      columns[term] = columns[term].map { $0 / lengths[term] }
    }
    let products = columns.map { a in columns.map { b in zip(a, b).reduce(0) { $0 + $1.0 * $1.1 } } }
    // The gradient of half the squared error; at the start every prediction is 0.
    var gradient = columns.map { -$0.reduce(0, +) }
    var scaled = Array(repeating: 0.0, count: count)
    for _ in 0..<5_000 {
      var largest = 0.0
      for term in 0..<count where lengths[term] > 0 {
        let better = max(0, scaled[term] - gradient[term])
        let change = better - scaled[term]
        guard change != 0 else { continue }
        scaled[term] = better
        for other in 0..<count { gradient[other] += change * products[term][other] }
        largest = max(largest, abs(change))
      }
      if largest < 1e-8 * Double(samples.count).squareRoot() { break }
    }
    factors = zip(scaled, lengths).map { $1 > 0 ? $0 / $1 : 0 }
  }
}
