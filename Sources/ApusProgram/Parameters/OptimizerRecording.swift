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
  /// Records norm and clipping; gives (norm, coefficient), each `[1, 1]`.
  package mutating func clipping(
    _ units: [ParameterUnit], maximumNorm: Double, control: Tensor
  ) -> (norm: Tensor, coefficient: Tensor) {
    label = "clipping"
    let sum = tensor("sum of squares", .result, Signature(1, 1, .float64))
    let norm = tensor("gradient norm", .result, Signature(1, 1))
    let coefficient = tensor("clip coefficient", .result, Signature(1, 1))
    let gradients = units.flatMap { unit in unit.parameters.map { unit.gradient(of: $0.tensor) } }
    emit(SumOfSquares(), gradients, to: [Destination(sum)])
    emit(
      Clip(maximumNorm: maximumNorm, isScaled: precision.scalesLoss),
      [sum] + (precision.scalesLoss ? [control] : []), to: [Destination(norm), Destination(coefficient)])
    return (norm, coefficient)
  }

  /// Records one fused update a unit.
  package mutating func adamW(
    _ units: [ParameterUnit], _ settings: OptimizerSettings, coefficient: Tensor, control: Tensor
  ) {
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
        [gradients, coefficient, control],
        to: [
          Destination(unit.weightsOfRecord, .accumulate), Destination(m, .accumulate),
          Destination(v, .accumulate),
        ] + (unit.master == nil ? [] : [Destination(unit.weights)]))
    }
  }

  /// Stretches without padding between them; neighbours that are treated alike are one.
  private static func ranges(of unit: ParameterUnit, decaysVectors: Bool) -> [UpdateRange] {
    var ranges: [UpdateRange] = []
    for parameter in unit.parameters {
      let decays = parameter.isMatrix || decaysVectors
      let offset = parameter.tensor.offset
      if let last = ranges.last, last.decays == decays, last.offset + last.count == offset {
        ranges[ranges.count - 1].count += parameter.tensor.count
      } else {
        ranges.append(UpdateRange(offset: offset, count: parameter.tensor.count, decays: decays))
      }
    }
    return ranges
  }
}
