import ApusCore

/// Root-mean-square norm: `y = x * rstd * w`, `rstd = 1 / sqrt(mean(x^2) + epsilon)` over the columns
/// (Zhang and Sennrich 2019).
///
/// Inputs: x `[T, D]`, w `[1, D]`. Outputs: y `[T, D]`, rstd `[1, T]`.
package struct RMSNorm: ForwardOperation {
  package static let name = "rms norm"
  package var op: Op { .rmsNorm(self) }
  package var inPlace: [InPlacePermission] { [InPlacePermission(output: 0, input: 0)] }

  package var epsilon: Double

  package func results(_ inputs: [Tensor]) -> [Signature] {
    require(
      inputs[1].count == inputs[0].columns,
      "rms norm: x has \(inputs[0].columns) columns, w \(inputs[1].count)")
    checkNorm(inputs)
    return [Signature(like: inputs[0]), Signature(1, inputs[0].rows)]
  }

  package func differentiate(_ pass: inout GradientPass, _ call: Instruction) {
    let (x, w, rstd) = (call.inputs[0], call.inputs[1], call.outputs[1].tensor)
    let dy = pass.gradient(call, 0)
    pass.emit(RMSNormWeightGradient(), [dy, x, rstd], to: [pass.destination(w)])
    pass.emit(RMSNormGradient(), [dy, x, w, rstd], to: [pass.destination(x)])
  }
}

/// `dx (+)= rstd * (g - xhat * mean(g * xhat))` with `g = dy * w`, `xhat = x * rstd`.
package struct RMSNormGradient: Operation {
  package static let name = "rms norm gradient"
  package var op: Op { .rmsNormGradient(self) }
  package var inPlace: [InPlacePermission] { [InPlacePermission(output: 0, input: 0)] }
}

/// `dw (+)= sum over rows of dy * xhat`.
package struct RMSNormWeightGradient: Operation {
  package static let name = "rms norm weight gradient"
  package var op: Op { .rmsNormWeightGradient(self) }
}

extension StepRecorder {
  /// Root-mean-square norm of each row of `x` (`[T, D]`).
  public mutating func rmsNorm(_ x: Tensor, weight: Tensor, epsilon: Double) -> Tensor {
    record(RMSNorm(epsilon: epsilon), [x, weight])[0]
  }
}
