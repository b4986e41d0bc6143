import ApusCore
import ApusProgram

/// The bytes of an arena that hold something needed, instruction by instruction over steps, as the plan predicts
/// them.
///
/// Parameters, inputs and results always count; activations and workspace by the plan's lifetimes; a gradient from
/// the instruction that first writes it to the one that updates its unit; optimizer states from the first update
/// on (S7, S8). The plan reserves all of it before step 1.
package struct MemoryTimeline: Sendable {
  /// One instruction of a run.
  package struct Event: Hashable, Sendable {
    package var step: Int
    package var segment: Segment.Kind
    package var microbatch: Int
    /// Position in its segment.
    package var instruction: Int
  }

  package let events: [Event]
  /// Bytes by role, one entry an event.
  package let bytes: [[Role: Int]]

  /// - Parameter steps: how many steps of `schedule` run one after another, counted from 1.
  package init(_ program: StepProgram, _ plan: MemoryPlan, schedule: [SegmentAction], steps: Int) {
    // Position of each segment's first instruction in its group's timeline.
    var places: [Segment.Kind: (group: Int, first: Int, instructions: [Instruction])] = [:]
    for (group, segments) in program.groups.enumerated() {
      var first = 0
      for segment in segments {
        places[segment.kind] = (group, first, segment.instructions)
        first += segment.instructions.count
      }
    }
    var fixed: [Role: Int] = [:]
    for role in [Role.parameter, .input, .result] { fixed[role] = program.byteCount(of: role) }
    var state = PersistentState(program)
    var (events, bytes): ([Event], [[Role: Int]]) = ([], [])
    for step in 1...steps {
      for case .run(let kind, let microbatch) in schedule {
        guard let place = places[kind] else { continue }
        for (index, instruction) in place.instructions.enumerated() {
          state.begin(instruction)
          events.append(Event(step: step, segment: kind, microbatch: microbatch, instruction: index))
          bytes.append(
            fixed.merging(plan.timelines[place.group][place.first + index]) { $1 }.merging(state.bytes) { $1 }
          )
          state.end(instruction)
        }
      }
    }
    (self.events, self.bytes) = (events, bytes)
  }

  /// Gradients and optimizer states that hold something.
  private struct PersistentState {
    let storages: [Storage]
    private var written: Set<Tensor> = []
    private var updated: Set<Int> = []
    private(set) var bytes: [Role: Int] = [.gradient: 0, .optimizerState: 0]

    init(_ program: StepProgram) { storages = program.storages }

    mutating func begin(_ instruction: Instruction) {
      for output in instruction.outputs.map(\.tensor) {
        switch storages[output.storage].role {
        case .gradient:
          if written.insert(output).inserted { bytes[.gradient]! += output.byteCount }
        case .optimizerState:
          if updated.insert(output.storage).inserted {
            bytes[.optimizerState]! += storages[output.storage].byteCount
          }
        default: break
        }
      }
    }

    /// An update consumes its unit's gradients.
    mutating func end(_ instruction: Instruction) {
      guard case .adamW = instruction.op else { return }
      for input in instruction.inputs where storages[input.storage].role == .gradient {
        for gradient in written where gradient.storage == input.storage {
          bytes[.gradient]! -= gradient.byteCount
          written.remove(gradient)
        }
      }
    }
  }
}
