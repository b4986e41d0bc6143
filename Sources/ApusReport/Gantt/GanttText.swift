/// A timeline as lines of text, a line a lane.
///
/// ```
/// device 0  F0 F1 F2 F3          B0─── F4 B1───
/// device 1     F0 F1 F2    B0─── F3 B1─── F4
/// ```
package struct GanttText: Sendable, CustomStringConvertible {
  package let timeline: Timeline
  /// Columns for the bars at most.
  package let width: Int

  package init(_ timeline: Timeline, width: Int = 100) {
    self.timeline = timeline
    self.width = max(10, width)
  }

  package var description: String {
    let title = timeline.lanes.map(\.title.displayWidth).max() ?? 0
    let scale = scale
    return timeline.lanes.map { lane in
      let row = cells(of: lane, scale)
      return (lane.title.padded(right: title) + "  " + row).trimmedRight + "\n"
    }.joined()
  }

  private struct Scale {
    var columnsAUnit: Double
    /// Letters of a label that every bar has room for, beside a gap.
    var labelLimit: Int
  }

  /// With room for it, the shortest bar shows its whole label and a gap. Otherwise all is scaled to the width, and
  /// labels are cut to what tells kinds apart, their first letter.
  private var scale: Scale {
    let bars = timeline.lanes.flatMap(\.bars).filter { $0.end > $0.start }
    guard let shortest = bars.map({ $0.end - $0.start }).min(), timeline.end > 0 else {
      return Scale(columnsAUnit: 1, labelLimit: 1)
    }
    let label = bars.map(\.label.count).max() ?? 0
    let wanted = Double(label + 1) / shortest
    let most = Double(width) / timeline.end
    return wanted <= most
      ? Scale(columnsAUnit: wanted, labelLimit: label) : Scale(columnsAUnit: most, labelLimit: 1)
  }

  private func cells(of lane: Timeline.Lane, _ scale: Scale) -> String {
    var row = Array(repeating: Character(" "), count: Int((timeline.end * scale.columnsAUnit).rounded(.up)))
    for bar in lane.bars {
      let first = Int((bar.start * scale.columnsAUnit).rounded())
      let last = min(row.count, Int((bar.end * scale.columnsAUnit).rounded()))
      guard first < last else { continue }
      let label = Array(bar.label.prefix(scale.labelLimit))
      for column in first..<last {
        let offset = column - first
        if offset < label.count {
          row[column] = label[offset]
        } else if column < last - 1 || scale.labelLimit == 1 {
          row[column] = "─"
        }
      }
    }
    return String(row)
  }
}

extension String {
  /// Without blanks at the end.
  fileprivate var trimmedRight: String {
    var text = Substring(self)
    while text.last == " " { text.removeLast() }
    return String(text)
  }
}
