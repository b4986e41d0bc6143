import ApusCore
import ApusProgram

/// The bytes of an arena that hold something needed, instruction by instruction over steps, as the plan predicts
/// them.
///
/// Parameters, inputs and results always count, but for 16-bit weights between their last use in a step and the update
/// that rounds them anew from the master weights; activations and workspace by the plan's lifetimes; a gradient from
/// the instruction that first writes it to the one that updates its unit; optimizer states, master weights among them,
/// from the first update on (S7, S8). The plan reserves all of it before step 1.
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
    for role in [Role.input, .result] { fixed[role] = program.byteCount(of: role) }
    let order = schedule.flatMap { action -> [Instruction] in
      if case .run(let kind, _) = action { places[kind]?.instructions ?? [] } else { [] }
    }
    var state = PersistentState(program, order)
    var (events, bytes): ([Event], [[Role: Int]]) = ([], [])
    for step in 1...steps {
      var position = 0
      for case .run(let kind, let microbatch) in schedule {
        guard let place = places[kind] else { continue }
        for (index, instruction) in place.instructions.enumerated() {
          state.begin(instruction)
          events.append(Event(step: step, segment: kind, microbatch: microbatch, instruction: index))
          bytes.append(
            fixed.merging(plan.timelines[place.group][place.first + index]) { $1 }.merging(state.bytes) { $1 }
          )
          state.end(instruction, position: position)
          position += 1
        }
      }
    }
    (self.events, self.bytes) = (events, bytes)
  }

  /// Weights, gradients and optimizer states that hold something needed.
  private struct PersistentState {
    let storages: [Storage]
    private var written: Set<Tensor> = []
    private var updated: Set<Int> = []
    private(set) var bytes: [Role: Int] = [.gradient: 0, .optimizerState: 0]
    /// Weights that an update overwrites, by the position in the step of the last instruction that reads them.
    private var lastUses: [Int: [Tensor]] = [:]
    /// Bytes of a unit that wait for its update.
    private var waiting: [Int: Int] = [:]

    /// - Parameter order: the instructions of a step.
    init(_ program: StepProgram, _ order: [Instruction]) {
      storages = program.storages
      bytes[.parameter] = program.byteCount(of: .parameter)
      for unit in program.units where unit.master != nil {
        for weights in unit.parameters.map(\.tensor) {
          let last = order.lastIndex { instruction in
            instruction.inputs.contains { Self.overlap($0, weights) }
          }
          if let last { lastUses[last, default: []].append(weights) }
        }
      }
    }

    private static func overlap(_ a: Tensor, _ b: Tensor) -> Bool {
      a.storage == b.storage && a.offset < b.offset + b.count && b.offset < a.offset + a.count
    }

    mutating func begin(_ instruction: Instruction) {
      for output in instruction.outputs.map(\.tensor) {
        switch storages[output.storage].role {
        case .gradient:
          if written.insert(output).inserted { bytes[.gradient]! += output.byteCount }
        case .parameter: bytes[.parameter]! += waiting.removeValue(forKey: output.storage) ?? 0
        case .optimizerState:
          if updated.insert(output.storage).inserted {
            bytes[.optimizerState]! += storages[output.storage].byteCount
          }
        default: break
        }
      }
    }

    /// An update consumes its unit's gradients.
    mutating func end(_ instruction: Instruction, position: Int) {
      for weights in lastUses[position] ?? [] {
        bytes[.parameter]! -= weights.byteCount
        waiting[weights.storage, default: 0] += weights.byteCount
      }
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
