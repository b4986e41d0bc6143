import ApusCore
import Foundation

/// The scatter of S1 as a picture that stands alone: devices across, tokens a second and device up; size and colour
/// as `RunMark` says. Measured runs are round, simulated ones square on their tip; runs without a result lie in a
/// band of their own below, crosses for measured ones and plus signs for simulated ones.
package struct RunScatterSVG: Sendable, CustomStringConvertible {
  package let chart: RunChart

  package init(_ chart: RunChart) { self.chart = chart }

  private static let plot = (x: 74.0, y: 92.0, width: 980.0, height: 430.0)
  private static let band = 46.0

  package var description: String {
    let finished = chart.runs.filter { $0.outcome == .finished }
    let most = finished.map(\.tokensPerSecondPerDevice).max() ?? 1
    let top = 1.06 * most
    let devices = chart.runs.map { Double($0.devices) }
    let range = (log2(devices.min() ?? 1) - 0.6, log2(devices.max() ?? 1) + 0.6)
    let (p, bottom) = (Self.plot, Self.plot.y + Self.plot.height)
    let height = bottom + Self.band + 60
    var parts = [
      """
      <svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1150 \(px(height))" width="1150" height="\(px(height))" \
      font-family="system-ui, 'DejaVu Sans', sans-serif" font-size="11">
      <title>\(chart.title.escapedForHTML)</title>
      <rect width="100%" height="100%" fill="#ffffff"/>
      <text x="16" y="26" font-size="16" font-weight="600" fill="#18212f">\(chart.title.escapedForHTML)</text>
      <text x="16" y="44" fill="#66717f">\(chart.counts.escapedForHTML). Size: throughput, colour: utilisation, \
      each over the best run of the model.</text>
      """,
      legend,
    ]
    for tick in Ticks.round(from: 0, to: top, about: 8) {
      let y = px(bottom - tick / top * p.height)
      parts.append(
        """
        <path d="M\(px(p.x)) \(y)h\(px(p.width))" stroke="#e9ecf1"/><text x="\(px(p.x - 8))" y="\(y)" dy="4" \
        text-anchor="end" fill="#66717f">\(Int(tick).grouped)</text>
        """)
    }
    for tick in Ticks.powers(of: 2, from: exp2(range.0), to: exp2(range.1)) {
      let x = px(p.x + (log2(tick) - range.0) / (range.1 - range.0) * p.width)
      parts.append(
        """
        <path d="M\(x) \(px(p.y))V\(px(bottom + Self.band))" stroke="#e9ecf1"/><text x="\(x)" \
        y="\(px(bottom + Self.band + 18))" text-anchor="middle" fill="#66717f">\(Int(tick).grouped)</text>
        """)
    }
    parts.append(
      """
      <text x="\(px(p.x + p.width / 2))" y="\(px(height - 18))" text-anchor="middle" fill="#45505e">devices</text>
      <text transform="translate(16 \(px(p.y + p.height / 2))) rotate(-90)" text-anchor="middle" fill="#45505e">\
      tokens a second and device</text>
      <text x="\(px(p.x - 8))" y="\(px(bottom + Self.band / 2))" dy="4" text-anchor="end" fill="#66717f">no result\
      </text>
      <path d="M\(px(p.x)) \(px(bottom))h\(px(p.width))" stroke="#9aa4b2"/>
      """)
    let marks = RunMark.marks(chart.runs)
    for index in drawingOrder(marks) {
      let run = chart.runs[index]
      let offset = RunChart.spread(index)
      let x = p.x + (log2(Double(run.devices)) + 0.55 * offset - range.0) / (range.1 - range.0) * p.width
      let y =
        run.outcome == .finished
        ? bottom - run.tokensPerSecondPerDevice / top * p.height
        : bottom + Self.band * (0.5 + 0.8 * RunChart.spread(7 * index + 3))
      parts.append(Self.mark(run, marks[index], x: x, y: y))
    }
    parts.append("</svg>\n")
    return parts.joined(separator: "\n")
  }

  /// Failed runs first, then large marks before small ones, so that none is buried.
  private func drawingOrder(_ marks: [RunMark]) -> [Int] {
    chart.runs.indices.sorted {
      let (a, b) = (chart.runs[$0].outcome == .failed, chart.runs[$1].outcome == .failed)
      return a != b ? a : marks[$0].size != marks[$1].size ? marks[$0].size > marks[$1].size : $0 < $1
    }
  }

  private var legend: String {
    let stops = ChartColors.scaleStops.map {
      "<stop offset=\"\(px($0.at))\" stop-color=\"\(ChartColors.scale($0.at))\"/>"
    }.joined()
    var parts = [
      """
      <defs><linearGradient id="scale">\(stops)</linearGradient></defs>
      <rect x="16" y="56" width="120" height="10" rx="2" fill="url(#scale)"/>
      <text x="16" y="80" fill="#66717f">0</text>
      <text x="136" y="80" text-anchor="end" fill="#66717f">best utilisation</text>
      """
    ]
    var x = 180.0
    let kinds: [(RunPoint.Outcome, RunPoint.Origin, String)] = [
      (.finished, .measured, "measured"), (.finished, .simulated, "simulated"),
      (.failed, .measured, "measured, no result"), (.failed, .simulated, "simulated, does not fit"),
    ]
    for (outcome, origin, words) in kinds
    where chart.runs.contains(where: { $0.outcome == outcome && $0.origin == origin }) {
      let run = RunPoint(model: "", nodes: 1, devices: 1, origin: origin, outcome: outcome, record: 0)
      let mark = RunMark(
        size: outcome == .finished ? 13 : 7, share: outcome == .finished ? 0.75 : nil, utilizationLabel: "",
        speedLabel: "")
      parts.append(Self.shape(run, mark, x: x, y: 61))
      parts.append("<text x=\"\(px(x + 13))\" y=\"65\" fill=\"#45505e\">\(words)</text>")
      x += 40 + 6.6 * Double(words.count)
    }
    return parts.joined(separator: "\n")
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

  private static func shape(_ run: RunPoint, _ mark: RunMark, x: Double, y: Double) -> String {
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
