import ApusCore

/// The colours of charts. Categories tell series apart; the scale is the published one of the scatter of S1.
package enum ChartColors {
  /// Blue, green, teal, amber, violet, red, grey, again from the start.
  private static let categories = [
    "#3568d4", "#2c9c78", "#1f93a8", "#d08a1f", "#8b5bd1", "#d1506a", "#7b8794",
  ]

  /// The colour of a category, as CSS writes it.
  package static func category(_ index: Int) -> String { categories[index % categories.count] }

  /// Where the scale's stops lie and their red, green and blue.
  package static let scaleStops: [(at: Double, rgb: (Double, Double, Double))] = [
    (0, (78, 165, 183)), (0.5, (206, 192, 250)), (1, (232, 137, 171)),
  ]

  /// The colour of a run that gave no result.
  package static let failed = "rgb(180,180,180)"

  /// A share from 0 to 1 on the published scale, linear between its stops; outside values are brought to its ends.
  package static func scale(_ share: Double) -> String {
    let share = min(1, max(0, share.isNaN ? 0 : share))
    let upper = scaleStops.firstIndex { share <= $0.at && $0.at > 0 } ?? scaleStops.count - 1
    let (from, to) = (scaleStops[upper - 1], scaleStops[upper])
    let part = (share - from.at) / (to.at - from.at)
    func mix(_ a: Double, _ b: Double) -> Int { Int((a + part * (b - a)).rounded()) }
    return "rgb(\(mix(from.rgb.0, to.rgb.0)),\(mix(from.rgb.1, to.rgb.1)),\(mix(from.rgb.2, to.rgb.2)))"
  }
}

/// A length in pixels for SVG: two decimals at most.
func px(_ value: Double) -> String {
  let text = value.formatted(decimals: 2)
  var short = Substring(text)
  while short.last == "0" { short.removeLast() }
  if short.last == "." { short.removeLast() }
  return String(short)
}
