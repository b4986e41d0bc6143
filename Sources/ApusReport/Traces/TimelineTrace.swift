import ApusCore

/// A timeline as a trace for Perfetto (ui.perfetto.dev) or Chrome's `about:tracing`: the JSON object format of
/// Chrome's trace events, one process a group (a rank) and one thread a lane (a stream).
package struct TimelineTrace: Sendable, CustomStringConvertible {
  package let timeline: Timeline

  package init(_ timeline: Timeline) { self.timeline = timeline }

  /// Microseconds of one unit of the timeline; times without a unit become milliseconds.
  private var microseconds: Double { timeline.unit == .seconds ? 1e6 : 1e3 }

  package var description: String {
    var events: [String] = []
    var groups: [String] = []
    for (index, lane) in timeline.lanes.enumerated() {
      var process = groups.firstIndex(of: lane.group)
      if process == nil {
        process = groups.count
        groups.append(lane.group)
        events.append(
          metadata("process_name", groups.count - 1, 0, "\"name\":\(JSONValue.quoted(lane.group))"))
        events.append(
          metadata("process_sort_index", groups.count - 1, 0, "\"sort_index\":\(groups.count - 1)"))
      }
      let rank = process ?? 0
      let name = lane.name.isEmpty ? "compute" : lane.name
      events.append(metadata("thread_name", rank, index, "\"name\":\(JSONValue.quoted(name))"))
      events += lane.bars.map { event($0, process: rank, thread: index) }
    }
    return "{\"displayTimeUnit\":\"ms\",\"traceEvents\":[\n" + events.joined(separator: ",\n") + "\n]}\n"
  }

  private func metadata(_ name: String, _ process: Int, _ thread: Int, _ value: String) -> String {
    "{\"ph\":\"M\",\"pid\":\(process),\"tid\":\(thread),\"name\":\"\(name)\",\"args\":{\(value)}}"
  }

  private func event(_ bar: Timeline.Bar, process: Int, thread: Int) -> String {
    let start = (bar.start * microseconds).formatted(decimals: 3)
    let duration = ((bar.end - bar.start) * microseconds).formatted(decimals: 3)
    let kind = timeline.kinds.indices.contains(bar.kind) ? timeline.kinds[bar.kind] : ""
    return "{\"ph\":\"X\",\"pid\":\(process),\"tid\":\(thread),\"name\":\(JSONValue.quoted(bar.label)),"
      + "\"cat\":\(JSONValue.quoted(kind)),\"ts\":\(start),\"dur\":\(duration),"
      + "\"args\":{\"detail\":\(JSONValue.quoted(bar.detail))}}"
  }
}
