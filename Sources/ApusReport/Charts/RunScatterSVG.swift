import ApusCore
import Foundation

/// The scatter of S1 as a picture that stands alone: devices across, tokens a second and device up, a panel for each
/// model; size and colour as `RunMark` says. Measured runs are round, simulated ones square on their tip; runs without
/// a result lie in a band of their own below, crosses for measured ones and plus signs for simulated ones.
package struct RunScatterSVG: Sendable, CustomStringConvertible {
  package let chart: RunChart

  package init(_ chart: RunChart) { self.chart = chart }

  private static let width = 1150.0
  private static let top = 88.0

  package var description: String {
    let marks = RunMark.marks(chart.runs)
    let devices = chart.runs.map { Double($0.devices) }
    let range = (log2(devices.min() ?? 1) - 0.6, log2(devices.max() ?? 1) + 0.6)
    // Many models share one panel: their numbers are then those of small runs beside each other.
    let groups = chart.hasPanels ? chart.models.map { [$0] } : [chart.models]
    let columns = groups.count > 1 ? 2 : 1
    let size = (
      width: (Self.width - 24) / Double(columns), height: columns == 1 ? 530.0 : 330.0
    )
    let rows = (groups.count + columns - 1) / columns
    let height = Self.top + Double(rows) * size.height + 8
    var parts = [
      """
      <svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 \(px(Self.width)) \(px(height))" \
      width="\(px(Self.width))" height="\(px(height))" font-family="system-ui, 'DejaVu Sans', sans-serif" \
      font-size="11">
      <title>\(chart.title.escapedForHTML)</title>
      <rect width="100%" height="100%" fill="#ffffff"/>
      <text x="16" y="26" font-size="16" font-weight="600" fill="#18212f">\(chart.title.escapedForHTML)</text>
      <text x="16" y="44" fill="#66717f">\(chart.counts.escapedForHTML). Size: throughput, colour: utilisation, \
      each over the best run of the model.</text>
      """,
      legend,
    ]
    for (number, models) in groups.enumerated() {
      let members = chart.runs.indices.filter { models.contains(chart.runs[$0].model) }
      let panel = RunScatterPanel(
        title: groups.count > 1 ? models[0] : "", runs: members.map { (chart.runs[$0], marks[$0]) },
        range: range,
        frame: (
          x: 12 + Double(number % columns) * size.width, y: Self.top + Double(number / columns) * size.height,
          width: size.width, height: size.height
        ))
      parts.append(panel.description)
    }
    parts.append("</svg>\n")
    return parts.joined(separator: "\n")
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
      parts.append(RunScatterPanel.shape(run, mark, x: x, y: 61))
      parts.append("<text x=\"\(px(x + 13))\" y=\"65\" fill=\"#45505e\">\(words)</text>")
      x += 40 + 6.6 * Double(words.count)
    }
    return parts.joined(separator: "\n")
  }
}
