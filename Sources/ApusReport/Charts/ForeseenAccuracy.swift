import ApusCore

/// How near foreseen step times came to the measured ones.
package struct ForeseenAccuracy: Hashable, Sendable, Encodable {
  package let runs: Int
  /// Share of the runs that are at most a tenth off.
  package let shareWithinTenth: Double
  /// Median of the absolute relative errors.
  package let medianError: Double
  /// Median of predicted over measured, minus 1.
  package let bias: Double

  /// Nil without a pair of seconds.
  package init?(_ pairs: [(foreseen: Double, measured: Double)]) {
    let ratios = pairs.filter { $0.measured > 0 }.map { $0.foreseen / $0.measured }.sorted()
    guard !ratios.isEmpty else { return nil }
    let errors = ratios.map { abs($0 - 1) }.sorted()
    func median(_ sorted: [Double]) -> Double {
      let middle = sorted.count / 2
      return sorted.count.isMultiple(of: 2) ? (sorted[middle - 1] + sorted[middle]) / 2 : sorted[middle]
    }
    runs = ratios.count
    shareWithinTenth = Double(errors.filter { $0 <= 0.1 + 1e-9 }.count) / Double(ratios.count)
    medianError = median(errors)
    bias = median(ratios) - 1
  }

  /// `61 of 72 runs within 10 % of the foreseen step time (84.7 %), median error 4.2 %, bias +1.0 %`.
  package var text: String {
    let near = Int((shareWithinTenth * Double(runs)).rounded())
    return "\(near) of \(runs) runs within 10 % of the foreseen step time (\(shareWithinTenth.percent())), "
      + "median error \(medianError.percent()), bias \(bias > 0 ? "+" : "")\(bias.percent())"
  }
}
