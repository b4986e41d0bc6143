import ApusCore

/// `y = 0.5 x (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3)))`, the tanh form of Hendrycks and Gimpel 2016 that
/// GPT-2 uses. Input and output: `[T, F]`.
package struct GELU: ForwardOperation {
  package static let name = "gelu"
  package var op: Op { .gelu(self) }
  package var inPlace: [InPlacePermission] { [InPlacePermission(output: 0, input: 0)] }

  package func results(_ inputs: [Tensor]) -> [Signature] {
    require(inputs[0].placement != .partialSum, "gelu: x is a partial sum")
    return [Signature(like: inputs[0])]
  }

  package func differentiate(_ pass: inout GradientPass, _ call: Instruction) {
    let x = call.inputs[0]
    pass.emit(GELUGradient(), [pass.gradient(call, 0), x], to: [pass.destination(x)])
  }
}

/// `dx (+)= dy * gelu'(x)`.
package struct GELUGradient: Operation {
  package static let name = "gelu gradient"
  package var op: Op { .geluGradient(self) }
  package var inPlace: [InPlacePermission] { [InPlacePermission(output: 0, input: 0)] }
}

extension StepRecorder {
  /// GELU of every element.
  public mutating func gelu(_ x: Tensor) -> Tensor { record(GELU(), [x])[0] }
}
