import ApusModels
import ApusProgram
import Testing

@Suite struct PlanTests {
  private struct Piece {
    var name: String
    /// Nil for workspace.
    var storage: Int?
    var first, last: Int
    var bytes: Range<Int>
  }

  /// Where everything transient of a group lies and when it is used, found without the planner's own code.
  private func pieces(_ program: StepProgram, _ group: [Segment], _ plan: MemoryPlan) -> [Piece] {
    var pieces: [Piece] = []
    var position: [Int: Int] = [:]
    var index = 0
    for segment in group {
      for (number, instruction) in segment.instructions.enumerated() {
        for tensor in instruction.inputs + instruction.outputs.map(\.tensor) {
          let storage = program.storages[tensor.storage]
          guard !storage.isPersistent, let offset = plan.offsets[tensor.storage] else { continue }
          if let known = position[tensor.storage] {
            pieces[known].last = index
          } else {
            position[tensor.storage] = pieces.count
            pieces.append(
              Piece(
                name: storage.name, storage: tensor.storage, first: index, last: index,
                bytes: offset..<offset + storage.byteCount))
          }
        }
        if let place = plan.workspace(segment.kind, number) {
          pieces.append(
            Piece(
              name: "workspace of \(instruction.label)", storage: nil, first: index, last: index,
              bytes: place.offset..<place.offset + place.byteCount))
        }
        index += 1
      }
    }
    return pieces
  }

  /// Whether `early` may hand its memory to `late` at `instruction`: permitted, the whole of it, overwritten,
  /// and read through that one input only.
  private func mayHandOver(
    _ early: Piece, _ late: Piece, at instruction: Instruction, _ program: StepProgram
  ) -> Bool {
    guard early.last == late.first, early.bytes == late.bytes,
      let output = instruction.outputs.firstIndex(where: { $0.tensor.storage == late.storage }),
      instruction.outputs[output].mode == .overwrite
    else { return false }
    let readers = instruction.inputs.indices.filter { instruction.inputs[$0].storage == early.storage }
    return readers.count == 1
      && instruction.op.operation.inPlace.contains { $0.output == output && $0.input == readers[0] }
  }

  /// What lives at the same time is disjoint, but for an output that an operation permits on its input.
  private func checkDisjoint(_ program: StepProgram, _ plan: MemoryPlan) -> (pairs: Int, inPlace: Int) {
    var (pairs, inPlace) = (0, 0)
    for group in program.groups {
      let instructions = group.flatMap(\.instructions)
      let pieces = pieces(program, group, plan)
      for (index, a) in pieces.enumerated() {
        #expect(a.bytes.lowerBound >= plan.persistentBytes && a.bytes.upperBound <= plan.totalBytes)
        for b in pieces[..<index] where a.first <= b.last && b.first <= a.last && a.bytes.overlaps(b.bytes) {
          pairs += 1
          let (early, late) = a.first < b.first ? (a, b) : (b, a)
          let permitted = mayHandOver(early, late, at: instructions[late.first], program)
          #expect(permitted, "\(early.name) and \(late.name)")
          if permitted { inPlace += 1 }
        }
      }
    }
    return (pairs, inPlace)
  }

  @Test(arguments: Samples.small) func smallModelsAreDisjoint(model: ModelConfiguration) {
    let program = Samples.program(model)
    let plan = MemoryPlan(program, workspace: Samples.workspace)
    let found = checkDisjoint(program, plan)
    #expect(found.pairs == found.inPlace)
    // The planner does use what operations permit.
    #expect(found.inPlace >= 2 * model.layerCount)
  }

  @Test(arguments: ["gpt2-124m", "llama-110m", "llama-3-8b"], [true, false])
  func presetsAreDisjoint(name: String, accumulates: Bool) throws {
    let shape = try #require(ModelPresets.named(name))
    let program = Samples.program(
      shape, microBatch: 2, sequence: 256, evaluates: false, accumulates: accumulates)
    _ = checkDisjoint(program, MemoryPlan(program, workspace: Samples.workspace))
  }

  /// With a single micro-batch gradients lie where activations were: the plan never needs both in full, and no
  /// instruction differs.
  @Test(arguments: Samples.presets.map(\.name)) func gradientsOfOneMicrobatch(name: String) throws {
    let shape = try #require(Samples.presets.first { $0.name == name }).shape
    let sequence = min(1024, shape.maximumSequenceLength)
    let kept = Samples.program(shape, microBatch: 4, sequence: sequence, evaluates: false)
    let used = Samples.program(shape, microBatch: 4, sequence: sequence, evaluates: false, accumulates: false)
    #expect(kept.segments == used.segments && kept.groups.count == 3 && used.groups.count == 1)
    let (large, small) = (
      MemoryPlan(kept, workspace: Samples.workspace), MemoryPlan(used, workspace: Samples.workspace)
    )
    let gradients = kept.byteCount(of: .gradient)
    #expect(used.byteCount(of: .gradient) == gradients)
    #expect(small.persistentBytes <= large.persistentBytes - gradients)
    #expect(small.transientBytes >= gradients)
    #expect(small.waste < 0.03)
    // All gradients are there when their norm is taken.
    let ready = small.timelines[0][kept.segments[0].instructions.count + kept.segments[1].instructions.count]
    #expect(ready[.gradient] == gradients)
    #expect(small.totalBytes < large.totalBytes)
  }

  @Test(arguments: Samples.small) func generationIsDisjoint(model: ModelConfiguration) {
    let program = StepProgram.generation(model, capacity: 8, prefillLength: 5)
    _ = checkDisjoint(program, MemoryPlan(program, workspace: Samples.workspace))
  }

  /// Parameters, gradients, states, inputs and results never share a byte with anything.
  @Test(arguments: Samples.small) func persistentStoragesAreDisjoint(model: ModelConfiguration) throws {
    let program = Samples.program(model)
    let plan = MemoryPlan(program, workspace: Samples.workspace)
    var end = 0
    let ranges = try program.storages.indices.filter { program.storages[$0].role.isPersistent }.map { index in
      let offset = try #require(plan.offsets[index])
      return offset..<offset + program.storages[index].byteCount
    }
    for range in ranges.sorted(by: { $0.lowerBound < $1.lowerBound }) {
      #expect(range.lowerBound >= end && range.lowerBound.isMultiple(of: MemoryPlan.alignment))
      end = range.upperBound
    }
    #expect(end <= plan.persistentBytes)
  }

  /// Packing loses less than half a percent on every preset, at every size that it allows.
  @Test(arguments: Samples.presets.map(\.name)) func wasteOfPresets(name: String) throws {
    let shape = try #require(Samples.presets.first { $0.name == name }).shape
    for microBatch in [1, 4] {
      for sequence in [256, 1024] where sequence <= shape.maximumSequenceLength {
        let program = Samples.program(shape, microBatch: microBatch, sequence: sequence, evaluates: false)
        let plan = MemoryPlan(program, workspace: Samples.workspace)
        #expect(plan.totalBytes >= plan.lowerBound)
        #expect(plan.waste < 0.005, "\(microBatch) x \(sequence)")
        let transient = Double(plan.transientBytes) / Double(plan.transientLowerBound) - 1
        #expect(transient < 0.005, "\(microBatch) x \(sequence)")
      }
    }
  }

  /// S10: in fp32 4 + 4 + 8 = 16 bytes a parameter, and the stated padding: each parameter of a unit starts
  /// at a multiple of 64 bytes, each storage at a multiple of 256.
  @Test(arguments: ["gpt2-124m", "llama-3.2-1b", "llama-3-8b"])
  func sixteenBytesAParameter(name: String) throws {
    let shape = try #require(ModelPresets.named(name))
    let program = Samples.program(shape, microBatch: 1, sequence: 8, evaluates: false)
    let padding = program.units.reduce(0) { $0 + $1.weights.count } - program.parameterCount
    let states = [Role.parameter, .gradient, .optimizerState].reduce(0) { $0 + program.byteCount(of: $1) }
    #expect(states == 16 * (program.parameterCount + padding))
    #expect(padding == 0, "hidden sizes of these models are multiples of 16")
    let plan = MemoryPlan(program, workspace: Samples.workspace)
    let rest = program.byteCount(of: .input) + program.byteCount(of: .result)
    #expect(plan.persistentBytes - states - rest < MemoryPlan.alignment * program.storages.count)
  }

  /// The recorder's timeline: the fullest instruction is the lower bound, and the two roles make it up.
  @Test(arguments: Samples.small) func timelines(model: ModelConfiguration) {
    let program = Samples.program(model)
    let plan = MemoryPlan(program, workspace: Samples.workspace)
    #expect(plan.timelines.map(\.count) == program.groups.map { $0.reduce(0) { $0 + $1.instructions.count } })
    let sums = plan.timelines.flatMap { $0.map { $0.values.reduce(0, +) } }
    #expect(sums.max() == plan.transientLowerBound)
    #expect(
      (plan.bytesAtPeak[.activation] ?? 0) + (plan.bytesAtPeak[.workspace] ?? 0) == plan.transientLowerBound)
    // Nothing transient outlives its group; the optimizer has none.
    #expect(plan.timelines[2].allSatisfy { $0.values.allSatisfy { $0 == 0 } })
  }

  /// Activations grow with the micro-batch, the rest does not.
  @Test func activationsGrowWithTheMicroBatch() {
    func plan(_ microBatch: Int) -> MemoryPlan {
      MemoryPlan(Samples.program(Samples.gpt2, microBatch: microBatch), workspace: { _ in 0 })
    }
    let (one, two) = (plan(1), plan(2))
    for role in [Role.parameter, .gradient, .optimizerState] {
      #expect(one.bytesAtPeak[role] == two.bytesAtPeak[role])
    }
    #expect(two.transientLowerBound == 2 * one.transientLowerBound)
  }
}
