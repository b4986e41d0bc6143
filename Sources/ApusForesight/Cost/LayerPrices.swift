import ApusCore
import ApusModels
import ApusProgram

/// Prices of a model's parts on one rank, from programs of two and three layers: layers are periodic, so the
/// program of any depth costs what these two say (a test compares with the whole program).
package struct LayerPrices: Hashable, Sendable {
  package struct Pair: Hashable, Sendable {
    package var forward = Price()
    package var backward = Price()
    /// The part of backward that nothing but the optimizer waits for: gradients of weights.
    package var weights = Price()
    /// Collectives along the tensor and context axes.
    package var forwardCalls: [CollectiveCall] = []
    package var backwardCalls: [CollectiveCall] = []
  }

  /// What stands before the layers.
  package var opening = Pair()
  package var layer = Pair()
  /// Last norm, head and loss.
  package var ending = Pair()
  /// Bytes that a layer keeps from forward for backward.
  package var saved = SavedBytes()
  /// Of those, the layer's input: what full recomputation keeps, and what one stage hands to the next.
  package var input = 0.0

  /// Records the rank's program and prices it.
  package init(_ job: TrainingJob, _ constants: CostConstants) {
    let cost = InstructionCost(job, constants)
    let (two, three) = (Parts(job, cost, depth: 2), Parts(job, cost, depth: 3))
    saved = three.saved - two.saved
    input = two.input
    layer = three.layers - two.layers
    // What the first or last layer has beyond the others (recomputation at the ends) counts with the ends.
    opening = two.opening + (two.layers - layer - layer)
    ending = two.ending
    if let experts = job.experts { add(experts, cost) }
  }

  /// What a layer's router and the exchange of tokens between experts add; every routed token is kept twice, as its
  /// expert read it and as its result is weighted.
  private mutating func add(_ experts: ExpertShape, _ cost: InstructionCost) {
    layer.forward += cost.routing(experts, backward: false)
    layer.backward += cost.routing(experts, backward: true)
    layer.forwardCalls += cost.exchange(experts)
    layer.backwardCalls += cost.exchange(experts)
    saved.values += 2 * cost.routedBytes(experts)
  }

  /// A whole program of a certain depth, by parts.
  package struct Parts {
    package var opening = Pair()
    package var layers = Pair()
    package var ending = Pair()
    package var saved = SavedBytes()
    package var input = 0.0

    package init(_ job: TrainingJob, _ cost: InstructionCost, depth: Int) {
      self.init(LayerPrices.program(job, depth: depth), job, cost)
    }

    /// Prices what is recorded, of a stage too.
    package init(_ program: StepProgram, _ job: TrainingJob, _ cost: InstructionCost) {
      saved = SavedBytes(program, job)
      input = Double(program.layerInputs.first?.byteCount ?? 0)
      for kind in [Segment.Kind.forward, .backward] {
        for instruction in program.segment(kind)?.instructions ?? [] {
          let path: WritableKeyPath<Parts, Pair> =
            instruction.label.hasPrefix("layer ")
            ? \.layers : instruction.label.hasPrefix("embeddings") ? \.opening : \.ending
          self[keyPath: path].add(
            instruction, kind, job.layout.tensor > 1 && instruction.label == "head", cost, program.storages)
        }
      }
      let hasHead = program.segment(.backward)?.instructions.contains { $0.label == "head" } ?? false
      if job.layout.tensor > 1, hasHead { ending.backward += cost.dividedHead() }
    }
  }

  /// The program of one rank with so many layers on one stage. Replicas and their shards change nothing that a layer
  /// computes, and what is computed again is priced from the forward pass, so it is recorded without them.
  package static func program(_ job: TrainingJob, depth: Int) -> StepProgram {
    var model = job.recordedModel
    model.layerCount = depth
    var settings = job.programSettings()
    model.maximumSequenceLength = settings.sequenceLength
    settings.recomputation = .none
    settings.layout = ParallelLayout(
      tensor: settings.layout.tensor, context: settings.layout.context,
      sequenceParallel: settings.layout.sequenceParallel)
    return StepProgram.training(model, settings)
  }
}

extension LayerPrices.Pair {
  /// Adds an instruction of a segment.
  ///
  /// - Parameter isDividedHead: its device work is priced elsewhere, with the whole head.
  fileprivate mutating func add(
    _ instruction: Instruction, _ kind: Segment.Kind, _ isDividedHead: Bool, _ cost: InstructionCost,
    _ storages: [Storage]
  ) {
    if let move = instruction.op.move {
      guard instruction.condition == .always, let collective = move.collective,
        // Three numbers a row in a divided head: nothing beside the rest.
        instruction.inputs[0].columns > 3, let axis = CommunicationAxis(move.axis)
      else { return }
      let (input, output) = (instruction.inputs[0], instruction.outputs[0].tensor)
      let bytes = Double(max(input.byteCount, output.byteCount))
      let call = CollectiveCall(collective, axis, bytes: bytes)
      if kind == .forward { forwardCalls.merge(call) } else { backwardCalls.merge(call) }
      return
    }
    if isDividedHead { return }
    let price = cost.price(instruction, storages)
    if kind == .forward {
      forward += price
      return
    }
    backward += price
    // Gradients of parameters and nothing else.
    if instruction.outputs.allSatisfy({ storages[$0.tensor.storage].role == .gradient }) { weights += price }
  }

  static func + (a: Self, b: Self) -> Self { a.combined(b, 1) }
  static func - (a: Self, b: Self) -> Self { a.combined(b, -1) }

  private func combined(_ other: Self, _ sign: Int) -> Self {
    var result = self
    result.forward += other.forward * Double(sign)
    result.backward += other.backward * Double(sign)
    result.weights += other.weights * Double(sign)
    for call in other.forwardCalls { result.forwardCalls.merge(call, times: sign) }
    for call in other.backwardCalls { result.backwardCalls.merge(call, times: sign) }
    return result
  }
}

extension [CollectiveCall] {
  /// Adds a call to its equals, or takes it away; none left is none.
  fileprivate mutating func merge(_ call: CollectiveCall, times: Int = 1) {
    let count = call.count * times
    if let index = firstIndex(where: { ($0.kind, $0.axis, $0.bytes) == (call.kind, call.axis, call.bytes) }) {
      self[index].count += count
      if self[index].count == 0 { remove(at: index) }
    } else if count != 0 {
      append(CollectiveCall(call.kind, call.axis, bytes: call.bytes, count: count))
    }
  }
}
