import ApusCore

/// `y = x + b` in every row, may lie on x: the bias of a product whose terms lie on several ranks, added to the
/// sum. Inputs: x `[T, N]`, b `[1, N]`. Its gradient is the column sum of y's.
package struct Bias: ForwardOperation {
  package static let name = "bias"
  package var op: Op { .bias(self) }
  package var inPlace: [InPlacePermission] { [InPlacePermission(output: 0, input: 0)] }

  package func results(_ inputs: [Tensor]) -> [Signature] {
    let (x, b) = (inputs[0], inputs[1])
    require(b.count == x.columns, "bias: \(x.columns) columns, but a bias of \(b.count)")
    require(
      x.placement == .invariant && b.placement == .invariant
        || x.placement == .sharded(.rows) && b.placement == .replicated,
      "bias: x is \(x.placement.text), the bias \(b.placement.text)")
    return [Signature(like: x)]
  }

  package func differentiate(_ pass: inout GradientPass, _ call: Instruction) {
    let dy = pass.gradient(call, 0)
    pass.emit(ColumnSum(), [dy], to: [pass.destination(call.inputs[1])])
    pass.pass(dy, to: call.inputs[0])
  }
}

extension StepRecorder {
  /// Adds `bias` to every row of `x`.
  public mutating func addBias(_ x: Tensor, _ bias: Tensor) -> Tensor { record(Bias(), [x, bias])[0] }
}
