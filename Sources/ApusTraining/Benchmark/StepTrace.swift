import ApusCommunication
import ApusCore
import ApusProgram
import ApusReport
import ApusRuntime
import Synchronization

/// One step of a rank as a trace: what it computed when, where it waited, and which transfers were under way.
struct StepTrace {
  private var spans: [(segment: Segment.Kind, span: Executor.Span)] = []
  private let flights = Flights()

  /// Transfers that are over; the communicators add to them.
  private final class Flights: Sendable {
    let list = Mutex<[Flight]>([])
  }

  /// Runs one step of `loop` through `body`, noting each instruction and each transfer.
  static func record(
    _ executor: Executor, _ body: ((Segment.Kind, Int, Bool) throws -> Void) throws -> Void
  ) throws -> StepTrace {
    var trace = StepTrace()
    let flights = trace.flights
    executor.observeTransfers { flight in flights.list.withLock { $0.append(flight) } }
    defer { executor.observeTransfers(nil) }
    var spans: [(Segment.Kind, Executor.Span)] = []
    try body { kind, microbatch, isLast in
      try executor.run(kind, microbatch: microbatch, isLast: isLast) { spans.append((kind, $0)) }
    }
    trace.spans = spans
    return trace
  }

  /// The trace as a file for Perfetto.
  func file(_ program: StepProgram, rank: Int, title: String) -> TraceFile {
    var file = TraceFile(process: rank, name: "Apus rank \(rank): \(title)")
    guard let origin = spans.first?.span.start, let last = spans.last?.span.end else { return file }
    func microseconds(_ time: UInt64) -> Double { (Double(time) - Double(origin)) / 1e3 }
    func span(_ name: String, _ category: String, _ start: UInt64, _ end: UInt64, _ row: TraceFile.Row)
      -> TraceFile.Span
    {
      .init(
        name: name, category: category, start: microseconds(start),
        duration: microseconds(end) - microseconds(start), row: row)
    }
    file.add(span("step", "steps", origin, last, .steps))
    var first = 0
    for (index, (kind, executed)) in spans.enumerated() {
      let instruction = program.segment(kind)!.instructions[executed.instruction]
      var entry = span(
        instruction.op.name, kind.rawValue, executed.start, executed.end, .instructions)
      entry.details = [("part", .text(instruction.label))]
      file.add(entry)
      if index + 1 == spans.count || spans[index + 1].segment != kind {
        file.add(span(kind.rawValue, "segments", spans[first].span.start, executed.end, .segments))
        first = index + 1
      }
    }
    for flight in flights.list.withLock({ $0 }) where flight.end >= origin {
      var entry = span(
        "\(flight.kind.rawValue) \(flight.label)", "communication", flight.start, flight.end, .communication)
      entry.details = [("axis", .text(flight.group)), ("bytes", .integer(flight.payloadBytes))]
      file.addTransfer(entry)
    }
    return file
  }
}
