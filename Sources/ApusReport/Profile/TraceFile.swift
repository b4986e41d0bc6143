import Foundation

/// A trace that Perfetto (ui.perfetto.dev) and Chrome's `about:tracing` open: the JSON array format of Chrome's
/// trace events.
package struct TraceFile: Sendable {
  /// A stretch of time under a name. Times are microseconds from the trace's start.
  package struct Span: Sendable {
    package var name: String
    package var category: String
    package var start: Double
    package var duration: Double
    /// The row it is drawn in.
    package var row: Row
    /// Shown when the span is selected.
    package var details: [(name: String, value: Value)]

    package init(
      name: String, category: String, start: Double, duration: Double, row: Row,
      details: [(name: String, value: Value)] = []
    ) {
      self.name = name
      self.category = category
      self.start = start
      self.duration = duration
      self.row = row
      self.details = details
    }
  }

  package enum Value: Sendable {
    case integer(Int)
    case number(Double)
    case text(String)
  }

  /// Rows from top to bottom.
  package enum Row: Int, CaseIterable, Sendable {
    case steps = 1
    case segments, instructions, communication
  }

  private var events: [String]
  private var transfers = 0
  private let process: Int

  /// - Parameter process: the rank, which becomes the trace's process.
  package init(process: Int, name: String) {
    self.process = process
    events = [Self.metadata("process_name", process, nil, name)]
    for row in Row.allCases { events.append(Self.metadata("thread_name", process, row, "\(row)")) }
  }

  package mutating func add(_ span: Span) {
    let details = span.details.map { "\(Self.text($0.name)):\(Self.json($0.value))" }.joined(separator: ",")
    events.append(
      "{\"ph\":\"X\",\"pid\":\(process),\"tid\":\(span.row.rawValue),\"name\":\(Self.text(span.name)),"
        + "\"cat\":\(Self.text(span.category)),\"ts\":\(Self.number(span.start)),"
        + "\"dur\":\(Self.number(span.duration)),\"args\":{\(details)}}")
  }

  /// A stretch that may overlap others of its row: an asynchronous event.
  package mutating func addTransfer(_ span: Span) {
    transfers += 1
    let details = span.details.map { "\(Self.text($0.name)):\(Self.json($0.value))" }.joined(separator: ",")
    for (phase, time) in [("b", span.start), ("e", span.start + span.duration)] {
      events.append(
        "{\"ph\":\"\(phase)\",\"pid\":\(process),\"tid\":\(span.row.rawValue),\"id\":\(transfers),"
          + "\"name\":\(Self.text(span.name)),\"cat\":\(Self.text(span.category)),"
          + "\"ts\":\(Self.number(time)),\"args\":{\(details)}}")
    }
  }

  /// A point of a stacked counter, such as memory by role.
  package mutating func addCounter(_ name: String, at time: Double, _ values: [(name: String, value: Int)]) {
    let values = values.map { "\(Self.text($0.name)):\($0.value)" }.joined(separator: ",")
    events.append(
      "{\"ph\":\"C\",\"pid\":\(process),\"name\":\(Self.text(name)),\"ts\":\(Self.number(time)),"
        + "\"args\":{\(values)}}")
  }

  /// The file's text.
  package var json: String {
    "{\"displayTimeUnit\":\"ms\",\"traceEvents\":[\n" + events.joined(separator: ",\n") + "\n]}\n"
  }

  private static func metadata(_ kind: String, _ process: Int, _ row: Row?, _ name: String) -> String {
    let thread = row.map { ",\"tid\":\($0.rawValue)" } ?? ""
    return "{\"ph\":\"M\",\"pid\":\(process)\(thread),\"name\":\"\(kind)\",\"args\":{\"name\":\(text(name))}}"
  }

  private static func json(_ value: Value) -> String {
    switch value {
    case .integer(let value): "\(value)"
    case .number(let value): number(value)
    case .text(let value): text(value)
    }
  }

  private static func number(_ value: Double) -> String {
    value.isFinite ? String(format: "%.3f", value) : "0"
  }

  private static func text(_ text: String) -> String {
    // A string always encodes.
    (try? JSONEncoder().encode(text)).map { String(decoding: $0, as: UTF8.self) } ?? "\"\""
  }
}
