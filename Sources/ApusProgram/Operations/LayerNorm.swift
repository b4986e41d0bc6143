import ApusCore

/// Layer norm: `y = (x - mean) * rstd * w + b`, `rstd = 1 / sqrt(variance + epsilon)` over the columns
/// (Ba, Kiros and Hinton 2016; S34).
///
/// Inputs: x `[T, D]`, w `[1, D]`, b `[1, D]`. Outputs: y `[T, D]`, mean `[1, T]`, rstd `[1, T]`.
package struct LayerNorm: ForwardOperation {
  package static let name = "layer norm"
  package var op: Op { .layerNorm(self) }
  package var inPlace: [InPlacePermission] { [InPlacePermission(output: 0, input: 0)] }

  package var epsilon: Double

  package func results(_ inputs: [Tensor]) -> [Signature] {
    require(
      inputs[1].count == inputs[0].columns && inputs[2].count == inputs[0].columns,
      "layer norm: x has \(inputs[0].columns) columns, w \(inputs[1].count), b \(inputs[2].count)")
    checkNorm(inputs)
    return [Signature(like: inputs[0]), Signature(1, inputs[0].rows), Signature(1, inputs[0].rows)]
  }

  package func differentiate(_ pass: inout GradientPass, _ call: Instruction) {
    let (x, w, b) = (call.inputs[0], call.inputs[1], call.inputs[2])
    let (mean, rstd) = (call.outputs[1].tensor, call.outputs[2].tensor)
    let dy = pass.gradient(call, 0)
    pass.emit(
      LayerNormWeightGradient(), [dy, x, mean, rstd], to: [pass.destination(w), pass.destination(b)])
    pass.emit(LayerNormGradient(), [dy, x, w, mean, rstd], to: [pass.destination(x)])
  }
}

/// `dx (+)= rstd * (g - mean(g) - xhat * mean(g * xhat))` with `g = dy * w`, means over the columns.
package struct LayerNormGradient: Operation {
  package static let name = "layer norm gradient"
  package var op: Op { .layerNormGradient(self) }
  package var inPlace: [InPlacePermission] { [InPlacePermission(output: 0, input: 0)] }
}

/// `dw (+)= sum over rows of dy * xhat`, `db (+)= sum over rows of dy`.
package struct LayerNormWeightGradient: Operation {
  package static let name = "layer norm weight gradient"
  package var op: Op { .layerNormWeightGradient(self) }
}

extension StepRecorder {
  /// Layer norm of each row of `x` (`[T, D]`).
  public mutating func layerNorm(_ x: Tensor, weight: Tensor, bias: Tensor, epsilon: Double) -> Tensor {
    record(LayerNorm(epsilon: epsilon), [x, weight, bias])[0]
  }
}

/// Stops on placements that a norm's gradient rule does not cover: weights that see all rows get whole
/// gradients, weights that see a rank's rows get terms of a sum.
func checkNorm(_ inputs: [Tensor]) {
  let x = inputs[0].placement
  let weights: Placement = x == .sharded(.rows) ? .replicated : .invariant
  require(x == .invariant || x == .sharded(.rows), "norm: x is \(x.text)")
  for weight in inputs.dropFirst() {
    require(weight.placement == weights, "norm: x is \(x.text), a weight \(weight.placement.text)")
  }
}
