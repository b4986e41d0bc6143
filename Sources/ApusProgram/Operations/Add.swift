import ApusCore

/// `out = a + b`; may lie on either. Its gradient goes to both inputs unchanged, without an instruction.
package struct Add: ForwardOperation {
  package static let name = "add"
  package var op: Op { .add(self) }
  package var inPlace: [InPlacePermission] {
    [InPlacePermission(output: 0, input: 0), InPlacePermission(output: 0, input: 1)]
  }

  package func results(_ inputs: [Tensor]) -> [Signature] {
    require(
      Signature(like: inputs[0]) == Signature(like: inputs[1]),
      "add: \(inputs[0].shapeText) \(inputs[0].placement.text) and "
        + "\(inputs[1].shapeText) \(inputs[1].placement.text)")
    return [Signature(like: inputs[0])]
  }

  package func differentiate(_ pass: inout GradientPass, _ call: Instruction) {
    let gradient = pass.gradient(call, 0)
    pass.pass(gradient, to: call.inputs[0])
    pass.pass(gradient, to: call.inputs[1])
  }
}

/// `out (+)= a`.
package struct Copy: Operation {
  package static let name = "copy"
  package var op: Op { .copy(self) }
}

extension StepRecorder {
  /// The sum of two tensors of one shape.
  public mutating func add(_ a: Tensor, _ b: Tensor) -> Tensor { record(Add(), [a, b])[0] }
}
