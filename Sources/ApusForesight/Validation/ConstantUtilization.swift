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
  /// The median is linear in c between the factors that make two ratios `a` and `b` equally wrong,
  /// c = 2 / (a + b), and of these only such matter as bound a run of about half of the sorted ratios.
  package static func smallestMedianError(_ ratios: [Double]) -> Double? {
    let sorted = ratios.filter { $0 > 0 && $0.isFinite }.sorted()
    guard !sorted.isEmpty else { return nil }
    var best: Double?
    let half = sorted.count / 2
    for span in max(0, half - 1)...(half + 1) where span < sorted.count {
      for first in 0..<(sorted.count - span) {
        let factor = 2 / (sorted[first] + sorted[first + span])
        guard let error = median(sorted.map { abs(factor * $0 - 1) }) else { continue }
        best = min(best ?? error, error)
      }
    }
    return best
  }
}
