import ApusCore

/// Rotary positions (Su et al. 2021): turns the pairs (i, i + headSize/2) of the first `headCount` heads of
/// each row by the angle of the row's position; the other columns pass unchanged.
///
/// Inputs: x `[T, width]`, cosines and sines `[P, headSize/2]`, and while generating the start position
/// (`[1, 1]` int32; absent = 0). Output: like x, may lie on it. The gradient is the turn back.
package struct Rotary: ForwardOperation {
  package static let name = "rotary"
  package var op: Op { .rotary(self) }
  package var inPlace: [InPlacePermission] { [InPlacePermission(output: 0, input: 0)] }

  package enum Direction: Hashable, Sendable { case forward, backward }

  package var headCount: Int
  package var headSize: Int
  package var sequenceLength: Int
  package var direction = Direction.forward
  /// The rank's tokens of each sequence; nil where it has all.
  package var slice: SequenceSlice?

  package func results(_ inputs: [Tensor]) -> [Signature] {
    let (x, cosines) = (inputs[0], inputs[1])
    require(
      headCount * headSize <= x.columns,
      "rotary: \(headCount) heads of \(headSize) do not fit in \(x.columns) columns")
    require(
      cosines.columns == headSize / 2 && sequenceLength <= cosines.rows,
      "rotary: table \(cosines.shapeText) for heads of \(headSize) and a sequence of \(sequenceLength)")
    require(
      x.placement == .invariant || x.placement == .sharded(.columns), "rotary: x is \(x.placement.text)")
    return [Signature(like: x)]
  }

  package func cost(_ inputs: [Tensor], _ outputs: [Destination]) -> Cost {
    Cost(flops: 0, bytes: 2 * inputs[0].byteCount)
  }

  package func differentiate(_ pass: inout GradientPass, _ call: Instruction) {
    var back = self
    back.direction = direction == .forward ? .backward : .forward
    let inputs = [pass.gradient(call, 0)] + call.inputs.dropFirst()
    pass.emit(back, inputs, to: [pass.firstDestination(call.inputs[0])])
  }
}

extension StepRecorder {
  /// Rotary positions on the first `headCount` heads of `x`.
  public mutating func rotary(
    _ x: Tensor, cosines: Tensor, sines: Tensor, headCount: Int, headSize: Int, sequenceLength: Int,
    start: Tensor? = nil
  ) -> Tensor {
    record(
      Rotary(
        headCount: headCount, headSize: headSize, sequenceLength: sequenceLength,
        slice: SequenceSlice(mesh, sequenceLength: sequenceLength)),
      [x, cosines, sines] + (start.map { [$0] } ?? []))[0]
  }
}
