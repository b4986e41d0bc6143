/// The plainest prediction there is: every row of a set reaches the same share of the peak.
///
/// A model that does not beat it has learnt nothing about layouts. The share is chosen with hindsight, the one
/// that leaves the smallest median error, and so is the counting of attention: no prediction of this kind can
/// do better.
package enum ConstantUtilization {
  /// Median absolute error of the step time; nil where no row has an ideal time.
  package static func error(_ rows: [SetScores.TimedRow]) -> Double? {
    (0..<(rows.map(\.ideal.count).min() ?? 0)).compactMap { counting in
      smallestMedianError(rows.map { $0.ideal[counting] / $0.measured })
    }.min()
  }

  /// The smallest median of |c r - 1| over the ratios that any factor c leaves.
  ///
  /// Half of the sorted ratios lie in one run of neighbours; the factor that serves a run from `a` to `b` best makes
  /// its ends equally wrong, c = 2 / (a + b).
  package static func smallestMedianError(_ ratios: [Double]) -> Double? {
    let sorted = ratios.filter { $0 > 0 && $0.isFinite }.sorted()
    guard !sorted.isEmpty else { return nil }
    var best: Double?
    for count in [(sorted.count + 1) / 2, sorted.count / 2 + 1] {
      for first in 0...(sorted.count - count) {
        let factor = 2 / (sorted[first] + sorted[first + count - 1])
        guard let error = median(sorted.map { abs(factor * $0 - 1) }) else { continue }
        best = min(best ?? error, error)
      }
    }
    return best
  }
}
