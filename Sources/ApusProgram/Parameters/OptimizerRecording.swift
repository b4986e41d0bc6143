import ApusCore

/// What the optimizer segment is recorded from.
package struct OptimizerSettings: Hashable, Sendable {
  package var beta1: Double
  package var beta2: Double
  package var epsilon: Double
  package var weightDecay: Double
  /// Whether vectors (norm weights, biases) decay too.
  package var decaysVectors: Bool
  /// Largest global gradient norm; 0 = no clipping.
  package var maximumNorm: Double

  package init(
    beta1: Double = 0.9, beta2: Double = 0.95, epsilon: Double = 1e-8, weightDecay: Double = 0.1,
    decaysVectors: Bool = false, maximumNorm: Double = 1
  ) {
    self.beta1 = beta1
    self.beta2 = beta2
    self.epsilon = epsilon
    self.weightDecay = weightDecay
    self.decaysVectors = decaysVectors
    self.maximumNorm = maximumNorm
  }
}

extension StepRecorder {
  /// Records norm and clipping; gives (norm, coefficient), each `[1, 1]`. Where ranks hold parts of the gradients,
  /// the sum goes over the axes along which they are divided.
  package mutating func clipping(
    _ units: [ParameterUnit], maximumNorm: Double, control: Tensor
  ) -> (norm: Tensor, coefficient: Tensor) {
    label = "clipping"
    let sum = tensor("sum of squares", .result, Signature(1, 1, .float64))
    let norm = tensor("gradient norm", .result, Signature(1, 1))
    let coefficient = tensor("clip coefficient", .result, Signature(1, 1))
    let gradients = units.compactMap { unit in unit.gradients.map { unit.part(of: $0) } }
    // Replicas hold the same numbers, and their own experts. The sum goes over the ranks that divide one or the other.
    let divides = mesh.degree(of: .shard) > 1
    let (denseCopies, expertCopies) =
      divides ? (1, mesh.degree(of: .expertReplica)) : (mesh.degree(of: .expert), 1)
    let stretches = units.map { unit in
      unit.stretches { _, stretch in stretch.copies }.map { run in
        SumOfSquares.CountedStretch(
          stretch: run.stretch.inShard(unit.shard),
          copies: run.trait * (unit.isExpert ? expertCopies : denseCopies))
      }
    }
    emit(SumOfSquares(stretches: stretches), gradients, to: [Destination(sum)])
    for axis in [divides ? MeshAxis.shard : .expert, .tensor, .pipeline] where mesh.degree(of: axis) > 1 {
      emit(
        Move(from: .partialSum, to: .invariant, axis: axis, degree: mesh.degree(of: axis)), [sum],
        to: [Destination(sum)])
    }
    emit(
      Clip(maximumNorm: maximumNorm, isScaled: precision.scalesLoss),
      [sum] + (precision.scalesLoss ? [control] : []), to: [Destination(norm), Destination(coefficient)])
    return (norm, coefficient)
  }

  /// Records the sum of a tied table's gradient over the two devices that hold it: behind the last backward pass,
  /// since the last device is done with the table long before the first one is. What the replicas have summed is
  /// summed here, a rank's part where they divide it.
  package mutating func sumTiedGradients(_ units: [ParameterUnit]) {
    for unit in units {
      guard let gradients = unit.gradients else { continue }
      for run in unit.stretches({ _, stretch in stretch.isTied }) where run.trait {
        label = unit.name
        var (operand, stretch) = (unit.part(of: gradients), Optional<UnitStretch>.none)
        if unit.shard == nil {
          operand = operand.columns(from: run.stretch.offset, run.stretch.count)
        } else {
          stretch = run.stretch.inShard(unit.shard)
        }
        emit(
          Move(
            from: .partialSum, to: .invariant, axis: .tiedTable, degree: mesh.degree(of: .tiedTable),
            stretch: stretch), [operand], to: [Destination(operand)])
      }
    }
  }

  /// Records the sum of the loss over the replicas, and over the devices of a pipeline: all but the last, which
  /// computes it, add zero and so learn it.
  package mutating func sumLoss(_ loss: Tensor, isComputedHere: Bool) {
    label = "loss"
    if !isComputedHere { emit(Zero(), [], to: [Destination(loss)]) }
    for axis in [mesh.gradientAxis, .pipeline] where mesh.degree(of: axis) > 1 {
      emit(
        Move(from: .partialSum, to: .invariant, axis: axis, degree: mesh.degree(of: axis)), [loss],
        to: [Destination(loss)])
    }
  }

  /// Records one fused update a unit: of a rank's part where states are divided, after which ZeRO-1 and 2 gather
  /// the weights.
  package mutating func adamW(
    _ units: [ParameterUnit], _ settings: OptimizerSettings, coefficient: Tensor, control: Tensor
  ) {
    var waits: [(wait: WaitMove, operands: [Tensor], label: String)] = []
    for unit in units {
      guard let gradients = unit.gradients, let m = unit.firstMoment, let v = unit.secondMoment else {
        require(false, "\(unit.name): an optimizer without gradients")
        return
      }
      label = unit.name
      emit(
        AdamW(
          beta1: settings.beta1, beta2: settings.beta2, epsilon: settings.epsilon,
          weightDecay: settings.weightDecay,
          ranges: Self.ranges(of: unit, decaysVectors: settings.decaysVectors)),
        [unit.part(of: gradients), coefficient, control],
        to: [
          Destination(unit.part(of: unit.weightsOfRecord), .accumulate), Destination(m, .accumulate),
          Destination(v, .accumulate),
        ] + (unit.master == nil ? [] : [Destination(unit.part(of: unit.weights))]))
      guard unit.shard != nil, unit.weights.count == unit.count else { continue }
      let gather = Move(
        from: .sharded(.rows), to: .invariant, axis: .shard, degree: mesh.degree(of: .shard))
      let operands = [unit.part(of: unit.weights), unit.weights]
      if communication.gradients == .overlapped {
        let transfer = nextTransfer()
        emit(
          StartMove(move: gather, transfer: transfer), [operands[0]], to: [Destination(operands[1])])
        waits.append((WaitMove(move: gather, transfer: transfer), operands, unit.name))
      } else {
        emit(gather, [operands[0]], to: [Destination(operands[1])])
      }
    }
    for wait in waits {
      label = wait.label
      emit(wait.wait, wait.operands, to: [])
    }
  }

  private static func ranges(of unit: ParameterUnit, decaysVectors: Bool) -> [UpdateRange] {
    unit.stretches { parameter, _ in parameter.isMatrix || decaysVectors }.map {
      UpdateRange(stretch: $0.stretch.inShard(unit.shard), decays: $0.trait)
    }
  }
}

extension UnitStretch {
  /// The same stretch, for operands that are a rank's part.
  fileprivate func inShard(_ shard: ShardSlice?) -> UnitStretch {
    UnitStretch(offset: offset, count: count, shard: shard)
  }
}
