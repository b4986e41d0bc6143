import ApusCore

/// The best configuration for each model and number of nodes (domain reference B7) as a picture: a cell is coloured
/// by utilisation and says utilisation, memory, layout and batch.
package struct BestConfigurationSVG: Sendable, CustomStringConvertible {
  package let chart: RunChart

  package init(_ chart: RunChart) { self.chart = chart }

  private static let cell = (width: 190.0, height: 62.0)
  private static let left = 110.0

  package var description: String {
    let rows = chart.origins.flatMap { origin in chart.nodes.map { (origin, $0) } }
      .filter { origin, nodes in
        chart.models.contains { chart.best(model: $0, nodes: nodes, origin) != nil }
      }
    let width = Self.left + Self.cell.width * Double(chart.models.count) + 16
    let height = 74 + Self.cell.height * Double(rows.count) + 12
    var parts = [
      """
      <svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 \(px(width)) \(px(height))" width="\(px(width))" \
      height="\(px(height))" font-family="system-ui, 'DejaVu Sans', sans-serif" font-size="11">
      <title>Best configurations: \(chart.title.escapedForHTML)</title>
      <rect width="100%" height="100%" fill="#ffffff"/>
      <text x="16" y="26" font-size="15" font-weight="600" fill="#18212f">Best configuration by model and nodes</text>
      <text x="16" y="44" fill="#66717f">\(chart.title.escapedForHTML)</text>
      """
    ]
    for (column, model) in chart.models.enumerated() {
      let x = Self.left + Self.cell.width * (Double(column) + 0.5)
      parts.append(
        "<text x=\"\(px(x))\" y=\"64\" text-anchor=\"middle\" font-weight=\"600\" fill=\"#18212f\">"
          + "\(model.escapedForHTML)</text>")
    }
    let highest = chart.runs.filter { $0.outcome == .finished }.map(\.utilization).max() ?? 1
    for (row, (origin, nodes)) in rows.enumerated() {
      let y = 74 + Self.cell.height * Double(row)
      parts.append(
        """
        <text x="\(px(Self.left - 10))" y="\(px(y + 28))" text-anchor="end" fill="#18212f">\(nodes) \
        \(nodes == 1 ? "node" : "nodes")</text><text x="\(px(Self.left - 10))" y="\(px(y + 43))" \
        text-anchor="end" fill="#66717f">\(origin.rawValue)</text>
        """)
      for (column, model) in chart.models.enumerated() {
        let x = Self.left + Self.cell.width * Double(column)
        parts.append(cell(chart.best(model: model, nodes: nodes, origin), x: x, y: y, highest: highest))
      }
    }
    parts.append("</svg>\n")
    return parts.joined(separator: "\n")
  }

  private func cell(_ run: RunPoint?, x: Double, y: Double, highest: Double) -> String {
    let fill = run.map { ChartColors.scale(highest > 0 ? $0.utilization / highest : 0) } ?? "#eef0f4"
    var text = """
      <rect x="\(px(x + 2))" y="\(px(y + 2))" width="\(px(Self.cell.width - 4))" \
      height="\(px(Self.cell.height - 4))" rx="5" fill="\(fill)"/>
      """
    let middle = px(x + Self.cell.width / 2)
    guard let run else {
      return text
        + "<text x=\"\(middle)\" y=\"\(px(y + 36))\" text-anchor=\"middle\" fill=\"#66717f\">none fits</text>"
    }
    let memory = run.memoryGiB.map { ", \($0.formatted(decimals: 1)) GiB" } ?? ""
    text += """
      <text x="\(middle)" y="\(px(y + 23))" text-anchor="middle" font-size="13" font-weight="600" fill="#18212f">\
      \((100 * run.utilization).formatted(decimals: 1)) %\(memory)</text><text x="\(middle)" y="\(px(y + 38))" \
      text-anchor="middle" fill="#18212f">\(run.layout.escapedForHTML)</text><text x="\(middle)" \
      y="\(px(y + 52))" text-anchor="middle" fill="#18212f">\(run.batch.escapedForHTML)</text>
      """
    return text
  }
}
