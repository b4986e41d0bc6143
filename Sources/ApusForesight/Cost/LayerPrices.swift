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
    /// Collectives along the tensor axis.
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
  /// Of those, the layer's input: what full recomputation keeps.
  package var input = 0.0

  /// Records the rank's program and prices it.
  package init(_ job: TrainingJob, _ constants: CostConstants) {
    let cost = InstructionCost(job, constants)
    let (two, three) = (Parts(job, cost, depth: 2), Parts(job, cost, depth: 3))
    saved = three.saved - two.saved
    input =
      Double(job.localTokens) * Double(job.model.hiddenSize) * job.numbers.activationBytes
      / Double(job.layout.sequenceParallel ? job.layout.tensor : 1)
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

    package init(_ job: TrainingJob, _ cost: InstructionCost, depth: Int) {
      let program = LayerPrices.program(job, depth: depth)
      saved = SavedBytes(program, job)
      for kind in [Segment.Kind.forward, .backward] {
        for instruction in program.segment(kind)?.instructions ?? [] {
          let path: WritableKeyPath<Parts, Pair> =
            instruction.label.hasPrefix("layer ")
            ? \.layers : instruction.label.hasPrefix("embeddings") ? \.opening : \.ending
          self[keyPath: path].add(
            instruction, kind, job.layout.tensor > 1 && instruction.label == "head", cost, program.storages)
        }
      }
      if job.layout.tensor > 1 { ending.backward += cost.dividedHead() }
    }
  }

  /// The program of one rank. Sizes that the tensor degree does not divide are padded, as trainers pad them.
  package static func program(_ job: TrainingJob, depth: Int) -> StepProgram {
    let t = job.layout.tensor
    func padded(_ size: Int) -> Int { groups(of: t, in: size) * t }
    var model = job.model
    model.layerCount = depth
    model.headCount = padded(model.headCount)
    model.intermediateSize = padded(model.intermediateSize)
    // A published model with biases may share its keys and values; each tensor rank then computes its own copy.
    if model.family == .gpt2, model.keyValueHeadCount < t { model.keyValueHeadCount = t }
    let heads = model.keyValueHeadCount
    if !(heads.isMultiple(of: t) || t.isMultiple(of: heads)) || !model.headCount.isMultiple(of: heads) {
      model.keyValueHeadCount = model.headCount
    }
    let sequence = max(1, job.sequenceLength / job.layout.context)
    model.maximumSequenceLength = sequence
    let rows = job.layout.microBatchSize * sequence
    var settings = TrainingProgramSettings(
      microBatchSize: job.layout.microBatchSize, sequenceLength: sequence, precision: job.numbers.policy,
      layout: ParallelLayout(
        tensor: t, sequenceParallel: job.layout.sequenceParallel && rows.isMultiple(of: t)),
      communication: CommunicationPolicy(keepsGatheredInputs: job.stack.keepsGathered(job.layout)))
    settings.isFused = job.stack.name == .apus
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
        instruction.inputs[0].columns > 3
      else { return }
      let (input, output) = (instruction.inputs[0], instruction.outputs[0].tensor)
      let bytes = Double(max(input.byteCount, output.byteCount))
      let call = CollectiveCall(collective, .tensor, bytes: bytes)
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
