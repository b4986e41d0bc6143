import ApusCore

/// A timeline as a picture that stands alone: bars in the colour of their kind, a scale, a legend; pointing at a
/// bar shows what it is.
package struct GanttSVG: Sendable, CustomStringConvertible {
  package let timeline: Timeline

  package init(_ timeline: Timeline) { self.timeline = timeline }

  private static let plotWidth = 1000.0
  private static let laneHeight = 24.0
  private static let top = 64.0
  /// Letters of 11 pixels are at most this wide, but for W.
  private static let letterWidth = 7.4

  private var left: Double {
    24 + Self.letterWidth * Double(timeline.lanes.map(\.title.count).max() ?? 0)
  }

  package var description: String {
    let end = timeline.end
    let bottom = Self.top + Self.laneHeight * Double(timeline.lanes.count)
    let width = left + Self.plotWidth + 28
    let height = bottom + 34
    var parts = [
      """
      <svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 \(px(width)) \(px(height))" width="\(px(width))" \
      height="\(px(height))" font-family="system-ui, 'DejaVu Sans', sans-serif" font-size="11">
      <title>\(timeline.title.escapedForHTML)</title>
      <rect width="100%" height="100%" fill="#ffffff"/>
      <text x="12" y="22" font-size="14" font-weight="600" fill="#18212f">\(timeline.title.escapedForHTML)</text>
      """
    ]
    parts.append(legend)
    parts.append(scale(end: end, bottom: bottom))
    for (index, lane) in timeline.lanes.enumerated() {
      parts.append(row(lane, y: Self.top + Self.laneHeight * Double(index), end: end))
    }
    parts.append("</svg>\n")
    return parts.joined(separator: "\n")
  }

  private var legend: String {
    var x = 12.0
    var parts: [String] = []
    for (index, kind) in timeline.kinds.enumerated() {
      parts.append(
        """
        <rect x="\(px(x))" y="34" width="12" height="12" rx="2" fill="\(ChartColors.category(index))"/>\
        <text x="\(px(x + 17))" y="44" fill="#45505e">\(kind.escapedForHTML)</text>
        """)
      x += 34 + Self.letterWidth * Double(kind.count)
    }
    return parts.joined(separator: "\n")
  }

  private func scale(end: Double, bottom: Double) -> String {
    guard end > 0 else { return "" }
    return Ticks.round(from: 0, to: end, about: 12).map { tick in
      let x = px(left + tick / end * Self.plotWidth)
      return """
        <path d="M\(x) \(px(Self.top - 4))V\(px(bottom + 4))" stroke="#e3e6ec"/>\
        <text x="\(x)" y="\(px(bottom + 18))" text-anchor="middle" fill="#66717f">\(timeline.text(of: tick))</text>
        """
    }.joined(separator: "\n")
  }

  private func row(_ lane: Timeline.Lane, y: Double, end: Double) -> String {
    var parts = [
      """
      <text x="\(px(left - 8))" y="\(px(y + 16))" text-anchor="end" fill="#18212f">\(lane.title.escapedForHTML)</text>
      """
    ]
    for bar in lane.bars where bar.end > bar.start && end > 0 {
      let x = left + bar.start / end * Self.plotWidth
      let width = (bar.end - bar.start) / end * Self.plotWidth
      let gap = min(1, 0.2 * width)
      // Letters shrink to 8 pixels before they are left out.
      let size = min(11, 11 * (width - 2) / (Self.letterWidth * Double(max(1, bar.label.count))))
      let text =
        size < 8
        ? ""
        : """
        <text x="\(px(x + width / 2))" y="\(px(y + 12 + size / 3))" text-anchor="middle" font-size="\(px(size))" \
        fill="#ffffff">\(bar.label.escapedForHTML)</text>
        """
      let tip =
        "\(bar.label): \(timeline.text(of: bar.start)) to \(timeline.text(of: bar.end))"
        + (bar.detail.isEmpty ? "" : "; \(bar.detail)")
      parts.append(
        """
        <g><title>\(tip.escapedForHTML)</title><rect x="\(px(x + gap / 2))" y="\(px(y + 2))" \
        width="\(px(width - gap))" height="\(px(Self.laneHeight - 4))" rx="\(px(min(3, width / 4)))" \
        fill="\(ChartColors.category(bar.kind))"/>\(text)</g>
        """)
    }
    return parts.joined(separator: "\n")
  }
}
