import ApusCore
import Foundation

/// Simulated against measured step times as a picture that stands alone: both axes logarithmic, the diagonal, and the
/// band of a tenth more or less. Colours tell layouts apart.
package struct RunPairsSVG: Sendable, CustomStringConvertible {
  package let chart: RunChart

  package init(_ chart: RunChart) { self.chart = chart }

  private static let plot = (x: 74.0, y: 88.0, size: 470.0)
  private static let width = 810.0

  private struct Point {
    let run: RunPoint
    let measured, simulated: Double
  }

  package var description: String {
    let (p, bottom) = (Self.plot, Self.plot.y + Self.plot.size)
    let points = points
    let ends = points.flatMap { [$0.measured, $0.simulated] }
    let (low, high) = (0.85 * (ends.min() ?? 1), 1.18 * (ends.max() ?? 1))
    let scale = p.size / log(high / low)
    func along(_ seconds: Double) -> Double { log(seconds / low) * scale }
    func x(_ seconds: Double) -> Double { p.x + along(seconds) }
    func y(_ seconds: Double) -> Double { bottom - along(seconds) }
    var parts = [
      """
      <svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 \(px(Self.width)) \(px(bottom + 56))" \
      width="\(px(Self.width))" height="\(px(bottom + 56))" font-family="system-ui, 'DejaVu Sans', sans-serif" \
      font-size="11">
      <title>\(chart.title.escapedForHTML): simulated against measured</title>
      <rect width="100%" height="100%" fill="#ffffff"/>
      <text x="16" y="26" font-size="16" font-weight="600" fill="#18212f">\(chart.title.escapedForHTML): simulated \
      against measured step time</text>
      <text x="16" y="46" fill="#66717f">\((chart.accuracy?.text ?? "no run has both").escapedForHTML)</text>
      <clipPath id="plot"><rect x="\(px(p.x))" y="\(px(p.y))" width="\(px(p.size))" height="\(px(p.size))"/></clipPath>
      <g clip-path="url(#plot)"><path d="M\(px(x(low))) \(px(y(1.1 * low)))L\(px(x(high))) \(px(y(1.1 * high)))L\
      \(px(x(high))) \(px(y(high / 1.1)))L\(px(x(low))) \(px(y(low / 1.1)))Z" fill="#e8eef9"/>\
      <path d="M\(px(x(low))) \(px(y(low)))L\(px(x(high))) \(px(y(high)))" stroke="#9aa4b2"/></g>
      """
    ]
    for seconds in Self.ticks(low, high) {
      let words = Self.words(seconds)
      parts.append(
        """
        <path d="M\(px(x(seconds))) \(px(p.y))V\(px(bottom))M\(px(p.x)) \(px(y(seconds)))h\(px(p.size))" \
        stroke="#dfe3ea" stroke-width="0.6"/><text x="\(px(x(seconds)))" y="\(px(bottom + 17))" text-anchor="middle" \
        fill="#66717f">\(words)</text><text x="\(px(p.x - 7))" y="\(px(y(seconds)))" dy="4" text-anchor="end" \
        fill="#66717f">\(words)</text>
        """)
    }
    parts.append(
      """
      <rect x="\(px(p.x))" y="\(px(p.y))" width="\(px(p.size))" height="\(px(p.size))" fill="none" stroke="#9aa4b2"/>
      <text x="\(px(p.x + p.size / 2))" y="\(px(bottom + 40))" text-anchor="middle" fill="#45505e">measured</text>
      <text transform="translate(18 \(px(p.y + p.size / 2))) rotate(-90)" text-anchor="middle" fill="#45505e">\
      simulated</text>
      """)
    let layouts = layouts
    for point in points {
      let color = ChartColors.category(layouts.firstIndex(of: point.run.layout) ?? 0)
      parts.append(
        """
        <circle cx="\(px(x(point.measured)))" cy="\(px(y(point.simulated)))" r="4" fill="\(color)" \
        fill-opacity="0.8" stroke="#ffffff" stroke-width="0.6"><title>\(Self.tip(point).escapedForHTML)</title></circle>
        """)
    }
    for (index, layout) in layouts.enumerated() {
      let (left, top) = (p.x + p.size + 28, p.y + 14 + 22 * Double(index))
      let pairs = points.filter { $0.run.layout == layout }.map { ($0.simulated, $0.measured) }
      let count = "\(pairs.count) run\(pairs.count == 1 ? "" : "s")"
      let words = ForeseenAccuracy(pairs).map { ", \(count), median \($0.medianError.percent())" } ?? ""
      parts.append(
        """
        <circle cx="\(px(left))" cy="\(px(top))" r="4.5" fill="\(ChartColors.category(index))"/><text \
        x="\(px(left + 12))" y="\(px(top + 4))" fill="#18212f">\(layout.escapedForHTML)\(words)</text>
        """)
    }
    let below = p.y + 20 + 22 * Double(layouts.count)
    parts.append(
      """
      <rect x="\(px(p.x + p.size + 22))" y="\(px(below))" width="13" height="10" fill="#e8eef9"/><text \
      x="\(px(p.x + p.size + 40))" y="\(px(below + 9))" fill="#45505e">within a tenth</text>
      </svg>

      """)
    return parts.joined(separator: "\n")
  }

  private var points: [Point] {
    let measured = Dictionary(
      chart.runs.filter { $0.origin == .measured }.map { ($0.record, $0) }, uniquingKeysWith: { a, _ in a })
    return chart.pairs.compactMap { pair in
      measured[pair.record].map { Point(run: $0, measured: pair.measured, simulated: pair.simulated) }
    }
  }

  /// In the order of the file.
  private var layouts: [String] {
    var seen = Set<String>()
    return points.map(\.run.layout).filter { seen.insert($0).inserted }
  }

  private static func tip(_ point: Point) -> String {
    let error = point.simulated / point.measured - 1
    return
      "\(point.run.model), \(point.run.layout), \(point.run.batch): measured \(words(point.measured)), simulated "
      + "\(words(point.simulated)) (\(error > 0 ? "+" : "")\(error.percent()))"
  }

  /// 1, 2 and 5 times the powers of ten within a range.
  private static func ticks(_ low: Double, _ high: Double) -> [Double] {
    [1, 2, 5].flatMap { factor in
      Ticks.powers(of: 10, from: low / factor, to: high / factor).map { factor * $0 }
    }
  }

  private static func words(_ seconds: Double) -> String {
    if seconds >= 1 { return "\(short(seconds)) s" }
    return seconds >= 1e-3 ? "\(short(1e3 * seconds)) ms" : "\(short(1e6 * seconds)) us"
  }

  private static func short(_ value: Double) -> String {
    value.formatted(decimals: value >= 10 || value.rounded() == value ? 0 : 1)
  }
}
