import ApusCore

/// What happens when, on lanes: drawn as a Gantt chart (text, SVG) or written as a trace for Perfetto.
package struct Timeline: Hashable, Sendable {
  /// A stretch of time on a lane.
  package struct Bar: Hashable, Sendable {
    package var start, end: Double
    /// Which of the timeline's kinds it is; decides its colour.
    package var kind: Int
    /// Short: stands inside the bar, as in `F0`.
    package var label: String
    /// A sentence for the reader who points at the bar.
    package var detail: String

    package init(start: Double, end: Double, kind: Int, label: String, detail: String = "") {
      self.start = start
      self.end = end
      self.kind = kind
      self.label = label
      self.detail = detail
    }
  }

  /// One row. Lanes of the same group belong to one rank.
  package struct Lane: Hashable, Sendable {
    package var group: String
    /// What distinguishes the lane in its group, such as a stream; may be empty.
    package var name: String
    package var bars: [Bar]

    package init(group: String, name: String = "", bars: [Bar]) {
      self.group = group
      self.name = name
      self.bars = bars
    }

    var title: String { name.isEmpty ? group : "\(group) \(name)" }
  }

  /// In what the bars' times are counted.
  package enum Unit: Hashable, Sendable {
    case seconds
    /// Times without a unit, as in published figures of schedules.
    case abstract
  }

  package var title: String
  package var unit: Unit
  package var kinds: [String]
  package var lanes: [Lane]

  package init(title: String, unit: Unit, kinds: [String], lanes: [Lane]) {
    self.title = title
    self.unit = unit
    self.kinds = kinds
    self.lanes = lanes
  }

  /// The last end of any bar.
  package var end: Double { lanes.flatMap(\.bars).map(\.end).max() ?? 0 }

  /// A time in words.
  func text(of time: Double) -> String {
    switch unit {
    case .abstract: return time == time.rounded() ? "\(Int(time))" : time.formatted(decimals: 2)
    case .seconds:
      if time >= 1 { return time.formatted(decimals: 3) + " s" }
      return (1000 * time).formatted(decimals: time >= 0.1 ? 1 : 3) + " ms"
    }
  }
}
