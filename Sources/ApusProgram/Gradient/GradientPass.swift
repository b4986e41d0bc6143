import ApusCore

/// Reverse-mode differentiation of a recorded forward segment.
///
/// Walks the instructions backwards and lets each operation's rule emit the instructions that carry the
/// gradients on. A gradient that goes unchanged to several readers is shared with a count: the last holder
/// may accumulate in place, the others copy. In a residual block that leaves no copy and no addition.
package struct GradientPass {
  private var recorder: StepRecorder
  private let units: [ParameterUnit]
  /// What forward reads of units, by storage.
  private let readings: [Int: UnitReading]
  private let loss: Tensor

  /// Gradients of activations by the activation; several may share one tensor.
  private var gradients: [Tensor: Tensor] = [:]
  /// How many entries of `gradients` name a tensor.
  private var holders: [Tensor: Int] = [:]
  /// Parameters that already received a contribution.
  private var contributed: Set<Tensor> = []
  private var forwardIsReplaced = false
  /// Ends of transfers under way, each with what has to wait for it, in order of their starts.
  private var underWay: [[Instruction]] = []
  private var atEnd: [Instruction] = []

  /// Differentiates `forward`, whose last instruction yields the loss or hands the result to the next stage of a
  /// pipeline. Returns what is left of the forward segment, and the backward segment. `loss` receives the weighted
  /// sum of losses.
  ///
  /// - Parameter readings: what forward reads of units; where it is empty forward reads them where they lie.
  package static func differentiate(
    _ forward: [Instruction], units: [ParameterUnit], readings: [UnitReading] = [], loss: Tensor,
    in recorder: inout StepRecorder
  ) -> (forward: [Instruction], backward: [Instruction]) {
    require(recorder.instructions.isEmpty, "gradient pass: the recorder still holds instructions")
    let readings = readings.isEmpty ? units.indices.map { UnitReading(unit: $0, of: units[$0]) } : readings
    var pass = GradientPass(
      recorder: recorder, units: units,
      readings: Dictionary(uniqueKeysWithValues: readings.map { ($0.flat.storage, $0) }), loss: loss)
    var kept: [Instruction] = []
    for (index, call) in forward.enumerated().reversed() {
      let isEnd = index == forward.count - 1
      pass.forwardIsReplaced = false
      let carriesGradient = call.outputs.contains {
        pass.gradients[$0.tensor] != nil || pass.readings[$0.tensor.storage] != nil
      }
      if isEnd || carriesGradient {
        pass.recorder.label = call.label
        guard let operation = call.op.operation as? any ForwardOperation else {
          require(false, "\(call.op.name) has no gradient")
          continue
        }
        operation.differentiate(&pass, call)
        for output in call.outputs { pass.release(output.tensor) }
      }
      if !pass.forwardIsReplaced { kept.append(call) }
    }
    for ends in pass.underWay + [pass.atEnd] {
      for instruction in ends { pass.recorder.append(instruction) }
    }
    recorder = pass.recorder
    return (kept.reversed(), recorder.takeInstructions())
  }

  // MARK: What a rule uses

  /// The gradient of output `index` of `call`.
  package func gradient(_ call: Instruction, _ index: Int) -> Tensor {
    guard let gradient = gradients[call.outputs[index].tensor] else {
      require(false, "\(call.label) \(call.op.name): no gradient for output \(index)")
      return call.outputs[index].tensor
    }
    return gradient
  }

  /// Where a rule writes the gradient of `input`: overwriting at the first contribution, adding later.
  package mutating func destination(_ input: Tensor) -> Destination {
    if let reading = readings[input.storage] {
      let first = contributed.insert(input).inserted
      return Destination(reading.gradient(of: input), first ? reading.firstMode : .accumulate)
    }
    guard let present = gradients[input] else { return firstDestination(input) }
    if holders[present]! > 1 {
      let own = newGradient(of: input)
      recorder.emit(Copy(), [present], to: [Destination(own)])
      release(input)
      hold(own, for: input)
      return Destination(own, .accumulate)
    }
    return Destination(present, .accumulate)
  }

  /// Where a rule that cannot accumulate writes the gradient of `input`: it must be the only reader.
  package mutating func firstDestination(_ input: Tensor) -> Destination {
    require(gradients[input] == nil, "\(recorder.label): the gradient of a value with several readers")
    let gradient = newGradient(of: input)
    hold(gradient, for: input)
    return Destination(gradient)
  }

  /// Hands `gradient` to `input` unchanged.
  package mutating func pass(_ gradient: Tensor, to input: Tensor) {
    guard gradients[input] != nil else { return hold(gradient, for: input) }
    recorder.emit(Copy(), [gradient], to: [destination(input)])
  }

  /// Memory that a rule's instruction needs beside its results.
  package mutating func temporary(
    _ name: String, _ signature: Signature, role: Role = .activation
  ) -> Tensor {
    recorder.tensor("\(recorder.label) \(name)", role, signature)
  }

  /// Whether gradients of activations carry the factor of the loss.
  package var scalesLoss: Bool { recorder.precision.scalesLoss }

  /// The micro-batch's weighted loss, added up over micro-batches.
  package func lossDestination() -> Destination {
    Destination(loss, .accumulateAfterFirstMicrobatch)
  }

  /// Takes the differentiated instruction out of the forward segment: the rule's own does its work.
  package mutating func replaceForward() { forwardIsReplaced = true }

  package mutating func emit(_ operation: some Operation, _ inputs: [Tensor], to outputs: [Destination]) {
    recorder.emit(operation, inputs, to: outputs)
  }

  package mutating func emit(
    _ operation: some Operation, _ inputs: [Tensor], to outputs: [Destination], _ condition: Condition
  ) {
    recorder.emit(operation, inputs, to: outputs, condition)
  }

  mutating func emit(_ instruction: Instruction) { recorder.append(instruction) }

  // MARK: What the synchronisation of gradients uses

  package var mesh: Mesh { recorder.mesh }
  package var communication: CommunicationPolicy { recorder.communication }

  /// The unit of a reading, and the reading.
  package func reading(_ storage: Int) -> (unit: ParameterUnit, reading: UnitReading) {
    guard let reading = readings[storage] else {
      require(false, "gradient pass: storage \(storage) is no unit's")
      return (units[0], UnitReading(unit: 0, of: units[0]))
    }
    return (units[reading.unit], reading)
  }

  /// Whether every parameter of a reading has received its gradient.
  package func isComplete(_ reading: UnitReading) -> Bool {
    units[reading.unit].parameters.allSatisfy { parameter in
      contributed.contains { $0.storage == reading.flat.storage && $0.offset == parameter.tensor.offset }
    }
  }

  /// Emits a move and what follows it. Overlapped, the move only starts here: its end and what follows come when
  /// more than `window` transfers are under way, or at the end of backward.
  mutating func emit(
    _ move: Move, _ input: Tensor, to output: Tensor, _ condition: Condition, window: Int?,
    then following: [Instruction]
  ) {
    guard communication.gradients == .overlapped, window != 0 else {
      recorder.emit(move, [input], to: [Destination(output)], condition)
      for instruction in following { recorder.append(instruction) }
      return
    }
    if let window, underWay.count >= window {
      for instruction in underWay.removeFirst() { recorder.append(instruction) }
    }
    let transfer = recorder.nextTransfer()
    recorder.emit(
      StartMove(move: move, transfer: transfer), [input], to: [Destination(output)], condition)
    let wait = instruction(WaitMove(move: move, transfer: transfer), [input, output], to: [], condition)
    underWay.append([wait] + following)
  }

  /// An instruction for later, with the label of here.
  func instruction(
    _ operation: some Operation, _ inputs: [Tensor], to outputs: [Destination], _ condition: Condition
  ) -> Instruction {
    Instruction(
      op: operation.op, inputs: inputs, outputs: outputs, label: recorder.label, condition: condition)
  }

  /// Ends the transfers under way that `buffer` takes part in.
  mutating func finishTransfers(of buffer: Tensor) {
    let (done, others) = underWay.partitioned { $0[0].inputs.contains { $0.storage == buffer.storage } }
    underWay = others
    for instruction in done.joined() { recorder.append(instruction) }
  }

  /// Emits an instruction after everything else of backward.
  mutating func emitAtEnd(_ instruction: Instruction) { atEnd.append(instruction) }

  // MARK: Sharing

  private mutating func newGradient(of input: Tensor) -> Tensor {
    recorder.tensor(
      "gradient of \(recorder.storages[input.storage].name)", .activation, input.gradientSignature)
  }

  private mutating func hold(_ gradient: Tensor, for input: Tensor) {
    gradients[input] = gradient
    holders[gradient, default: 0] += 1
  }

  private mutating func release(_ value: Tensor) {
    guard let gradient = gradients.removeValue(forKey: value) else { return }
    holders[gradient]! -= 1
  }
}

extension Array {
  /// The elements for which `belongs` holds, and the others, in order.
  fileprivate func partitioned(by belongs: (Element) -> Bool) -> (Self, Self) {
    (filter(belongs), filter { !belongs($0) })
  }
}
