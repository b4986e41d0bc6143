import Foundation

/// Round numbers for an axis.
package enum Ticks {
  /// Multiples of 1, 2 or 5 times a power of ten within a range, about `count` of them.
  package static func round(from low: Double, to high: Double, about count: Int) -> [Double] {
    guard high > low, low.isFinite, high.isFinite else { return [low] }
    let rough = (high - low) / Double(max(1, count))
    let power = pow(10, floor(log10(rough)))
    let step = power * ([1, 2, 5].first { $0 * power >= rough } ?? 10)
    let first = Int((low / step).rounded(.up))
    let last = Int((high / step).rounded(.down))
    guard first <= last else { return [] }
    return (first...last).map { Double($0) * step }
  }

  /// Powers of a base that lie within a range.
  package static func powers(of base: Double, from low: Double, to high: Double) -> [Double] {
    guard low > 0, high >= low else { return [] }
    let first = Int((log(low) / log(base) - 1e-9).rounded(.up))
    let last = Int((log(high) / log(base) + 1e-9).rounded(.down))
    guard first <= last else { return [] }
    return (first...last).map { pow(base, Double($0)) }
  }
}
