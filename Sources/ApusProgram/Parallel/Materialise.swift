import ApusCore

/// Makes a unit readable where forward first needs it. Its gradient rule is the synchronisation of the unit's
/// gradients over replicas (Rajbhandari et al. 2020):
///
/// | ZeRO stage | forward | gradient rule |
/// | --- | --- | --- |
/// | 0 | nothing | all-reduce in place, in the last micro-batch |
/// | 1 | nothing | reduce-scatter in place, in the last micro-batch |
/// | 2 | nothing | reduce-scatter of a transient buffer, in every micro-batch, added to the rank's part |
/// | 3 | all-gather | as 2; backward gathers again because recomputation never keeps what was gathered |
///
/// With shards in groups of ranks (hybrid), what a group has summed is then summed over the replicas. Gradients
/// that are terms over the tensor axis (norms under sequence parallelism, copies of key-value heads) are summed
/// there once a step. Input: the unit's weights. Output: the unit as forward reads it.
package struct Materialise: ForwardOperation {
  package static let name = "materialise"
  package var op: Op { .materialise(self) }

  package func results(_ inputs: [Tensor]) -> [Signature] { [Signature(like: inputs[0])] }

  package func differentiate(_ pass: inout GradientPass, _ call: Instruction) {
    let (unit, reading) = pass.reading(call.outputs[0].tensor.storage)
    guard let gradients = unit.gradients else {
      return require(false, "\(unit.name): this program has no gradients")
    }
    require(pass.isComplete(reading), "\(unit.name): a parameter without a gradient")
    if reading.gradients.storage == gradients.storage {
      synchronise(&pass, unit, gradients)
    } else {
      scatter(&pass, unit, reading, into: gradients)
    }
  }

  /// Stages 0 and 1: buffers that persist, once a step.
  private func synchronise(_ pass: inout GradientPass, _ unit: ParameterUnit, _ gradients: Tensor) {
    for instruction in tensorSums(&pass, unit, gradients) {
      pass.emit(instruction)
    }
    let mesh = pass.mesh
    let axis = unit.isExpert ? .expertReplica : mesh.gradientAxis
    guard mesh.degree(of: axis) > 1 else { return }
    if let shard = unit.shard {
      let part = unit.part(of: gradients)
      let move = Move(
        from: .partialSum, to: .sharded(.rows), axis: .shard, degree: mesh.degree(of: .shard))
      if pass.communication.gradients == .naive {
        pass.emitAtEnd(pass.instruction(move, [gradients], to: [Destination(part)], .lastMicrobatch))
        for instruction in replicaSum(pass, part) { pass.emitAtEnd(instruction) }
      } else {
        pass.emit(
          move, gradients, to: part, .lastMicrobatch, window: nil, then: replicaSum(pass, part))
      }
      require(part.count == shard.count, "\(unit.name): a part of \(part.count), not \(shard.count)")
      return
    }
    let move = Move(from: .partialSum, to: .invariant, axis: axis, degree: mesh.degree(of: axis))
    if pass.communication.gradients == .naive {
      for parameter in unit.parameters {
        let gradient = unit.gradient(of: parameter.tensor)
        pass.emitAtEnd(
          pass.instruction(move, [gradient], to: [Destination(gradient)], .lastMicrobatch))
      }
    } else {
      pass.emit(move, gradients, to: gradients, .lastMicrobatch, window: nil, then: [])
    }
  }

  /// Stages 2 and 3: the transient gradients of this reading go to the rank's part.
  private func scatter(
    _ pass: inout GradientPass, _ unit: ParameterUnit, _ reading: UnitReading, into gradients: Tensor
  ) {
    let part = unit.part(of: reading.gradients)
    let mode: WriteMode = reading.isLastInForward ? .accumulateAfterFirstMicrobatch : .accumulate
    var following = [pass.instruction(Copy(), [part], to: [Destination(gradients, mode)], .always)]
    if reading.isFirstInForward {
      following += tensorSums(&pass, unit, gradients) + replicaSum(pass, gradients)
    }
    pass.emit(
      Move(from: .partialSum, to: .sharded(.rows), axis: .shard, degree: pass.mesh.degree(of: .shard)),
      reading.gradients, to: part, .always, window: pass.communication.prefetchedUnits, then: following)
  }

  /// Sums over the tensor axis, of all elements of the unit that need one: one call a run.
  private func tensorSums(
    _ pass: inout GradientPass, _ unit: ParameterUnit, _ gradients: Tensor
  ) -> [Instruction] {
    unit.stretches { _, stretch in stretch.summedOver }.compactMap { run in
      guard let axis = run.trait else { return nil }
      var (operand, stretch) = (gradients, Optional<UnitStretch>.none)
      if gradients.count < unit.count {
        stretch = UnitStretch(offset: run.stretch.offset, count: run.stretch.count, shard: unit.shard)
      } else {
        operand.offset += run.stretch.offset
        operand.columns = run.stretch.count
      }
      let move = Move(
        from: .partialSum, to: .invariant, axis: axis, degree: pass.mesh.degree(of: axis), stretch: stretch)
      return pass.instruction(move, [operand], to: [Destination(operand)], .lastMicrobatch)
    }
  }

  /// The sum over replicas of what a group of shards has summed.
  private func replicaSum(_ pass: GradientPass, _ part: Tensor) -> [Instruction] {
    let degree = pass.mesh.degree(of: .replica)
    guard degree > 1 else { return [] }
    let move = Move(from: .partialSum, to: .invariant, axis: .replica, degree: degree)
    return [pass.instruction(move, [part], to: [Destination(part)], .lastMicrobatch)]
  }
}

/// What a stretch of forward reads of a unit, and where the gradients of that reading go.
package struct UnitReading: Hashable, Sendable {
  /// Index of the unit.
  package var unit: Int
  /// The whole unit as forward reads it.
  package var flat: Tensor
  /// Its gradients, of the same extent.
  package var gradients: Tensor
  /// Whether no earlier, no later reading of the unit exists in forward.
  package var isFirstInForward = true
  package var isLastInForward = true

  package init(unit: Int, flat: Tensor, gradients: Tensor) {
    self.unit = unit
    self.flat = flat
    self.gradients = gradients
  }

  /// The unit where it lies, with its own gradients.
  package init(unit index: Int, of unit: ParameterUnit) {
    self.init(unit: index, flat: unit.flat, gradients: unit.gradients ?? unit.flat)
  }

  /// Persistent sums start anew with a step, transient ones with a reading.
  var firstMode: WriteMode { gradientsPersist ? .accumulateAfterFirstMicrobatch : .overwrite }
  package var gradientsPersist = true
  /// Whether the gradients are summed before the embedding has added to them: see `sharesRows`.
  package var sharesRows = false

  func gradient(of parameter: Tensor) -> Tensor {
    var tensor = parameter
    tensor.storage = gradients.storage
    tensor.type = gradients.type
    tensor.placement = parameter.placement.dual
    return tensor
  }
}
