import ApusCore
import ApusProgram

/// The instructions of a step as a rank runs them, each with its work: what calibrations measure and forecasts price.
package struct StepWork {
  package struct Entry: Hashable, Sendable {
    package var segment: Segment.Kind
    package var microbatch: Int
    package var work: InstructionWork
    /// Of a collective, its start and its end.
    package var axis: MeshAxis?
    /// Times that the step has an instruction like this one; above 1 only where micro-batches are left out.
    package var times: Double
  }

  package private(set) var entries: [Entry] = []

  /// Micro-batches of which one stands for all that are neither first nor last.
  private static let shown = 3

  /// The step of a program whose memory is planned.
  ///
  /// The operands go through a cache of `cacheBytes`, in two steps one after the other, so that the second one, which
  /// counts, begins with what the first has left.
  ///
  /// - Parameters:
  ///   - measuresNoise: whether the norm of the first micro-batch's gradient is taken too (`StepLoop`).
  package init(
    _ program: StepProgram, _ plan: MemoryPlan, microbatches: Int, at position: MeshPosition,
    cacheBytes: Int, measuresNoise: Bool = false
  ) {
    var cache = CacheTraffic(capacity: cacheBytes, arenaBytes: plan.totalBytes)
    let shown = min(microbatches, Self.shown)
    for _ in 0..<2 {
      entries = []
      for index in 0..<shown {
        let isLast = index == shown - 1
        let times = index == 1 && shown < microbatches ? Double(microbatches - 2) : 1
        for kind in [Segment.Kind.forward, .backward] {
          add(program, plan, kind, microbatch: index, isLast: isLast, times, position, &cache)
        }
        if index == 0, measuresNoise, microbatches > 1 {
          add(program, plan, .synchronise, microbatch: 0, isLast: false, 1, position, &cache)
        }
      }
      for kind in [Segment.Kind.synchronise, .optimizer] {
        add(program, plan, kind, microbatch: 0, isLast: true, 1, position, &cache)
      }
    }
  }

  private mutating func add(
    _ program: StepProgram, _ plan: MemoryPlan, _ kind: Segment.Kind, microbatch: Int, isLast: Bool,
    _ times: Double, _ position: MeshPosition, _ cache: inout CacheTraffic
  ) {
    for (index, instruction) in (program.segment(kind)?.instructions ?? []).enumerated()
    where instruction.condition.holds(isLast: isLast) {
      var far = 0
      for tensor in instruction.inputs + instruction.outputs.map(\.tensor) {
        guard let storage = plan.offsets[tensor.storage] else { continue }
        let start = storage + tensor.offset * tensor.type.byteCount
        far += cache.use(start..<start + tensor.byteCount)
      }
      if let place = plan.workspace(kind, index) {
        far += cache.use(place.offset..<place.offset + place.byteCount)
      }
      entries.append(
        Entry(
          segment: kind, microbatch: microbatch,
          work: InstructionWork(instruction, microbatch: microbatch, farBytes: far, at: position),
          axis: Self.axis(instruction), times: times))
    }
  }

  private static func axis(_ instruction: Instruction) -> MeshAxis? {
    if case .waitMove(let wait) = instruction.op { return wait.move.axis }
    return instruction.op.move?.axis
  }

  /// Kinds of instructions that a sharing has no curve for.
  package func unknownKinds(_ sharing: MeasuredProcessor.Sharing) -> [String] {
    Set(entries.map(\.work.kind)).subtracting(sharing.curves.keys).sorted()
  }

  /// Seconds of the step; nil where the sharing lacks a kind of instruction.
  package func seconds(_ sharing: MeasuredProcessor.Sharing) -> Double? {
    var sum = sharing.stepSeconds
    for entry in entries {
      guard let curve = sharing.curves[entry.work.kind] else { return nil }
      sum += entry.times * curve.seconds(entry.work.values)
    }
    return sum
  }
}
