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
    package let values: [Double]
    package let seconds: Double

    /// - Parameter values: of the terms.
    package init(_ values: [Double], seconds: Double) {
      self.values = values
      self.seconds = max(seconds, 1e-8)
    }
  }

  /// Times the factors are found again with errors relative to what the factors before them give.
  private static let rounds = 6
  /// A sample counts at most as if this share of its time had been foreseen.
  private static let leastShare = 0.2

  /// The factors of the smallest sum of squared errors, each relative to the time that the curve itself gives: relative
  /// to the measured times, slow samples would count less than fast ones, and a curve through samples that scatter
  /// would lie below them. The first factors are relative to the measured times, and the next ones to those before
  /// (iteratively reweighted least squares, McCullagh and Nelder 1989, chapter 2).
  package init(fitting samples: [Sample]) {
    factors = Self.factors(samples, relativeTo: samples.map(\.seconds))
    for _ in 0..<Self.rounds {
      let expected = samples.map { max(seconds($0.values), Self.leastShare * $0.seconds) }
      factors = Self.factors(samples, relativeTo: expected)
    }
  }

  /// The factors of the smallest sum of squared relative errors, by coordinate descent: each factor in turn takes its
  /// best value that is not negative. The problem is convex, so this ends at its minimum (Franc, Hlaváč and Navara
  /// 2005, "Sequential coordinate-wise algorithm for the non-negative least squares problem").
  ///
  /// - Parameter scales: seconds that each sample's error is relative to.
  private static func factors(_ samples: [Sample], relativeTo scales: [Double]) -> [Double] {
    let count = samples.first?.values.count ?? 0
    let wanted = zip(samples, scales).map { $0.seconds / $1 }
    // Terms relative to the scales, each column then scaled to length 1.
    var columns = (0..<count).map { term in zip(samples, scales).map { $0.values[term] / $1 } }
    let lengths = columns.map { column in column.reduce(0) { $0 + $1 * $1 }.squareRoot() }
    for term in 0..<count where lengths[term] > 0 {
      columns[term] = columns[term].map { $0 / lengths[term] }
    }
    let products = columns.map { a in columns.map { b in zip(a, b).reduce(0) { $0 + $1.0 * $1.1 } } }
    // The gradient of half the squared error; at the start every prediction is 0.
    var gradient = columns.map { -zip($0, wanted).reduce(0) { $0 + $1.0 * $1.1 } }
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
    return zip(scaled, lengths).map { $1 > 0 ? $0 / $1 : 0 }
  }
}
