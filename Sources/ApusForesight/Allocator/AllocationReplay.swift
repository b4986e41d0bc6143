import ApusCore
import ApusProgram

/// A recorded training step played through a caching allocator, as a trainer would that allocates while it runs:
/// weights before step 1, a gradient from backward's first write until the next step begins (PyTorch's optimizers set
/// gradients to none), the optimizer's states from the optimizer's first run, everything else from its first to its
/// last instruction.
///
/// Apus itself maps its whole plan before step 1. This is for readers who compare with PyTorch, where later steps
/// peak higher than the first by the optimizer's states, and where what is reserved exceeds what is allocated (S8).
package struct AllocationReplay: Hashable, Sendable {
  package struct Step: Hashable, Sendable {
    package var counts: CachingAllocator.Counts
    /// After the step, gradients included.
    package var requested, allocated, reserved: Int

    /// Share of the requests that kept blocks served.
    package var hitRate: Double {
      let requests = counts.hits + counts.misses
      return requests > 0 ? Double(counts.hits) / Double(requests) : 1
    }
  }

  /// Where the device was full.
  package struct Failure: Hashable, Sendable {
    /// Counted from 1.
    package var step: Int
    package var segment: String
    package var tensor: String
    package var asked, allocated, reserved: Int
  }

  /// Steps that ended.
  package private(set) var steps: [Step] = []
  /// After the weights are there, before step 1.
  package private(set) var ready: Step
  package private(set) var failure: Failure?

  /// The most that any step held.
  package var peakAllocated: Int { ([ready] + steps).map(\.counts.peakAllocated).max() ?? 0 }
  package var peakReserved: Int { ([ready] + steps).map(\.counts.peakReserved).max() ?? 0 }

  /// - Parameters:
  ///   - program: of one rank.
  ///   - steps: at least 1; from the second on they are alike.
  ///   - microbatches: passes before an optimizer step.
  ///   - workspace: scratch of the backend.
  ///   - capacity: bytes of the device.
  package init(
    _ program: StepProgram, steps count: Int = 3, microbatches: Int = 1,
    workspace: @escaping WorkspaceCatalogue,
    capacity: Int = .max
  ) {
    var play = ProgramAllocations(program, workspace: workspace, capacity: capacity)
    ready = Step(counts: CachingAllocator.Counts(), requested: 0, allocated: 0, reserved: 0)
    do {
      try play.begin()
      ready = play.endStep()
      for number in 1...max(1, count) {
        play.beginStep(number)
        try play.run(microbatches: microbatches)
        steps.append(play.endStep())
      }
    } catch {
      failure = play.failure(error)
    }
  }
}

/// The tensors of a program in an allocator.
struct ProgramAllocations {
  private let program: StepProgram
  private let workspace: WorkspaceCatalogue
  private var allocator: CachingAllocator
  /// The block of each storage that is alive.
  private var blocks: [Int: Int] = [:]
  /// Groups of a training step with the storages that each instruction is the last to touch.
  private var groups: [(segments: [Segment], last: [Int: Int])] = []
  private var step = 0
  private var place = ("start", "")

  init(_ program: StepProgram, workspace: @escaping WorkspaceCatalogue, capacity: Int) {
    self.program = program
    self.workspace = workspace
    allocator = CachingAllocator(capacity: capacity)
    let training: Set<Segment.Kind> = [.forward, .backward, .synchronise, .optimizer]
    for segments in program.groups where segments.allSatisfy({ training.contains($0.kind) }) {
      var last: [Int: Int] = [:]
      for (index, instruction) in segments.flatMap(\.instructions).enumerated() {
        for tensor in instruction.inputs + instruction.outputs.map(\.tensor)
        where !program.storages[tensor.storage].role.isPersistent {
          last[tensor.storage] = index
        }
      }
      groups.append((segments, last))
    }
  }

  mutating func endStep() -> AllocationReplay.Step {
    AllocationReplay.Step(
      counts: allocator.takeCounts(), requested: allocator.requested, allocated: allocator.allocated,
      reserved: allocator.reserved)
  }

  func failure(_ error: CachingAllocator.OutOfMemory) -> AllocationReplay.Failure {
    AllocationReplay.Failure(
      step: step, segment: place.0, tensor: place.1, asked: error.asked, allocated: error.allocated,
      reserved: error.reserved)
  }

  /// Weights and inputs.
  mutating func begin() throws(CachingAllocator.OutOfMemory) {
    for (index, storage) in program.storages.enumerated()
    where [.parameter, .input, .result].contains(storage.role) {
      try allocate(index)
    }
  }

  /// The last step's gradients go.
  mutating func beginStep(_ number: Int) {
    step = number
    for (storage, block) in blocks.sorted(by: { $0.key < $1.key })
    where program.storages[storage].role == .gradient {
      allocator.release(block)
      blocks[storage] = nil
    }
  }

  mutating func run(microbatches: Int) throws(CachingAllocator.OutOfMemory) {
    for (segments, last) in groups {
      let repeats = segments.contains { $0.kind == .backward } ? microbatches : 1
      for _ in 0..<repeats { try run(segments, last) }
    }
  }

  private mutating func run(_ segments: [Segment], _ last: [Int: Int]) throws(CachingAllocator.OutOfMemory) {
    var index = 0
    for segment in segments {
      place.0 = segment.kind.rawValue
      for instruction in segment.instructions {
        let touched = instruction.inputs.map(\.storage) + instruction.outputs.map(\.tensor.storage)
        for storage in touched where blocks[storage] == nil { try allocate(storage) }
        let scratch = workspace(instruction)
        if scratch > 0 {
          place.1 = "workspace of \(instruction.label)"
          let block = try allocator.allocate(scratch)
          allocator.release(block)
        }
        for storage in touched where last[storage] == index {
          if let block = blocks.removeValue(forKey: storage) { allocator.release(block) }
        }
        index += 1
      }
    }
  }

  private mutating func allocate(_ storage: Int) throws(CachingAllocator.OutOfMemory) {
    place.1 = program.storages[storage].name
    blocks[storage] = try allocator.allocate(program.storages[storage].byteCount)
  }
}
