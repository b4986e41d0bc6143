import ApusCore
import Foundation

/// One panel of the scatter: axes, the marks of some runs, and the band of those without a result.
struct RunScatterPanel: CustomStringConvertible {
  let title: String
  let runs: [(point: RunPoint, mark: RunMark)]
  /// Of the devices, as powers of two.
  let range: (Double, Double)
  let frame: (x: Double, y: Double, width: Double, height: Double)

  private static let band = 40.0

  private var plot: (x: Double, y: Double, width: Double, height: Double) {
    (frame.x + 62, frame.y + 30, frame.width - 74, frame.height - 78 - Self.band)
  }

  var description: String {
    let finished = runs.filter { $0.point.outcome == .finished }
    let top = 1.06 * (finished.map(\.point.tokensPerSecondPerDevice).max() ?? 1)
    let (p, bottom) = (plot, plot.y + plot.height)
    var parts = [
      """
      <text x="\(px(p.x))" y="\(px(frame.y + 18))" font-size="13" font-weight="600" fill="#18212f">\
      \(title.escapedForHTML)</text>
      """
    ]
    for tick in Ticks.round(from: 0, to: top, about: 6) {
      let y = px(bottom - tick / top * p.height)
      parts.append(
        """
        <path d="M\(px(p.x)) \(y)h\(px(p.width))" stroke="#e9ecf1"/><text x="\(px(p.x - 8))" y="\(y)" dy="4" \
        text-anchor="end" fill="#66717f">\(tick < 10 ? px(tick) : Int(tick).grouped)</text>
        """)
    }
    for tick in Ticks.powers(of: 2, from: exp2(range.0), to: exp2(range.1)) {
      let x = px(p.x + (log2(tick) - range.0) / (range.1 - range.0) * p.width)
      parts.append(
        """
        <path d="M\(x) \(px(p.y))V\(px(bottom + Self.band))" stroke="#e9ecf1"/><text x="\(x)" \
        y="\(px(bottom + Self.band + 17))" text-anchor="middle" fill="#66717f">\(Int(tick).grouped)</text>
        """)
    }
    parts.append(
      """
      <text x="\(px(p.x + p.width / 2))" y="\(px(bottom + Self.band + 36))" text-anchor="middle" fill="#45505e">\
      devices</text>
      <text transform="translate(\(px(frame.x + 8)) \(px(p.y + p.height / 2))) rotate(-90)" text-anchor="middle" \
      fill="#45505e">tokens a second and device</text>
      <text x="\(px(p.x - 8))" y="\(px(bottom + Self.band / 2))" dy="4" text-anchor="end" fill="#66717f">no result\
      </text>
      <path d="M\(px(p.x)) \(px(bottom))h\(px(p.width))" stroke="#9aa4b2"/>
      """)
    for index in drawingOrder {
      let (run, mark) = runs[index]
      let x =
        p.x + (log2(Double(run.devices)) + 0.55 * RunChart.spread(index) - range.0) / (range.1 - range.0)
        * p.width
      let y =
        run.outcome == .finished
        ? bottom - run.tokensPerSecondPerDevice / top * p.height
        : bottom + Self.band * (0.5 + 0.8 * RunChart.secondSpread(index))
      parts.append(Self.mark(run, mark, x: x, y: y))
    }
    return parts.joined(separator: "\n")
  }

  /// Failed runs first, then large marks before small ones, so that none is buried.
  private var drawingOrder: [Int] {
    runs.indices.sorted {
      let (a, b) = (runs[$0].point.outcome == .failed, runs[$1].point.outcome == .failed)
      let (large, small) = (runs[$0].mark.size, runs[$1].mark.size)
      return a != b ? a : large != small ? large > small : $0 < $1
    }
  }

  private static func mark(_ run: RunPoint, _ mark: RunMark, x: Double, y: Double) -> String {
    var tip = "\(run.model), \(run.devices) devices, \(run.layout), \(run.batch); \(run.origin.rawValue)"
    if run.outcome == .finished {
      tip +=
        "; \(Int(run.tokensPerSecond.rounded()).grouped) tokens/s, "
        + "\((100 * run.utilization).formatted(decimals: 2)) % of peak; \(mark.utilizationLabel) "
        + mark.speedLabel
      if let memory = run.memoryGiB { tip += "; \(memory.formatted(decimals: 2)) GiB" }
    } else {
      tip += "; no result" + (run.reason.isEmpty ? "" : ": \(run.reason)")
    }
    return "<g><title>\(tip.escapedForHTML)</title>\(shape(run, mark, x: x, y: y))</g>"
  }

  /// A run's mark around a point.
  static func shape(_ run: RunPoint, _ mark: RunMark, x: Double, y: Double) -> String {
    let r = mark.size / 2
    switch (run.outcome, run.origin) {
    case (.finished, .measured):
      return """
        <circle cx="\(px(x))" cy="\(px(y))" r="\(px(r))" fill="\(mark.color)" fill-opacity="0.85" \
        stroke="#18212f" stroke-width="0.8"/>
        """
    case (.finished, .simulated):
      return """
        <path d="M\(px(x)) \(px(y - r))L\(px(x + r)) \(px(y))L\(px(x)) \(px(y + r))L\(px(x - r)) \(px(y))Z" \
        fill="\(mark.color)" fill-opacity="0.85" stroke="#ffffff" stroke-width="0.5"/>
        """
    case (.failed, .measured):
      let d = px(r)
      let w = px(2 * r)
      return """
        <path d="M\(px(x)) \(px(y))m-\(d) -\(d)l\(w) \(w)m-\(w) 0l\(w) -\(w)" stroke="\(ChartColors.failed)" \
        stroke-width="1.2" fill="none"/>
        """
    case (.failed, .simulated):
      let d = px(r)
      let w = px(2 * r)
      return """
        <path d="M\(px(x)) \(px(y))m-\(d) 0h\(w)m-\(d) -\(d)v\(w)" stroke="\(ChartColors.failed)" \
        stroke-width="1.2" fill="none"/>
        """
    }
  }
}
