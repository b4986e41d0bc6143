import ApusCore

/// `y = silu(gate) * up` (Shazeer 2020, "GLU Variants Improve Transformer", section 2).
///
/// Input: gate and up side by side, `[T, 2F]`. Output: `[T, F]`.
package struct SwiGLU: ForwardOperation {
  package static let name = "swiglu"
  package var op: Op { .swiglu(self) }

  package func results(_ inputs: [Tensor]) -> [Signature] {
    require(inputs[0].columns.isMultiple(of: 2), "swiglu: \(inputs[0].columns) columns cannot be halved")
    require(inputs[0].placement != .partialSum, "swiglu: x is a partial sum")
    return [Signature(inputs[0].rows, inputs[0].columns / 2, inputs[0].type, inputs[0].placement)]
  }

  package func differentiate(_ pass: inout GradientPass, _ call: Instruction) {
    let gateUp = call.inputs[0]
    pass.emit(SwiGLUGradient(), [pass.gradient(call, 0), gateUp], to: [pass.destination(gateUp)])
  }
}

/// Gradients of gate and up, side by side.
package struct SwiGLUGradient: Operation {
  package static let name = "swiglu gradient"
  package var op: Op { .swigluGradient(self) }
}

extension StepRecorder {
  /// Gated activation of `gateUp` (`[T, 2F]`); gives `[T, F]`.
  public mutating func swiglu(_ gateUp: Tensor) -> Tensor { record(SwiGLU(), [gateUp])[0] }
}
