import ApusCore

/// Learned positions: `out[t] = x[t] + table[start + t mod S]` (Radford et al. 2019).
///
/// Inputs: x `[T, D]`, table `[P, D]`, and while generating the start position (`[1, 1]` int32; absent = 0).
/// Output: `[T, D]`, may lie on x.
package struct Positions: ForwardOperation {
  package static let name = "positions"
  package var op: Op { .positions(self) }
  package var inPlace: [InPlacePermission] { [InPlacePermission(output: 0, input: 0)] }

  /// S; rows of a micro-batch are whole sequences of this length, or a rank's parts of them.
  package var sequenceLength: Int
  /// The rank's rows of the micro-batch; nil where it has all.
  package var rows: ShardSlice?
  /// The rank's tokens of each sequence; nil where it has all.
  package var slice: SequenceSlice?

  package func results(_ inputs: [Tensor]) -> [Signature] {
    require(
      inputs[0].columns == inputs[1].columns,
      "positions: x has \(inputs[0].columns) columns, the table \(inputs[1].columns)")
    require(
      inputs[0].type == inputs[1].type, "positions: x is \(inputs[0].type), the table \(inputs[1].type)")
    require(
      sequenceLength <= inputs[1].rows,
      "positions: sequence of \(sequenceLength), but the table has \(inputs[1].rows) rows")
    let (x, table) = (inputs[0].placement, inputs[1].placement)
    require(
      x == .invariant && table == .invariant
        || x == .sharded(.rows) && table == .replicated && rows?.count == inputs[0].rows,
      "positions: x is \(x.text), the table \(table.text)")
    return [Signature(like: inputs[0])]
  }

  package func cost(_ inputs: [Tensor], _ outputs: [Destination]) -> Cost {
    Cost(flops: 0, bytes: 3 * inputs[0].byteCount)
  }

  package func differentiate(_ pass: inout GradientPass, _ call: Instruction) {
    let gradient = pass.gradient(call, 0)
    pass.emit(
      PositionsGradient(sequenceLength: sequenceLength, rows: rows, slice: slice), [gradient],
      to: [pass.destination(call.inputs[1])])
    pass.pass(gradient, to: call.inputs[0])
  }
}

/// `dtable[p] (+)= sum of dout[t] over t mod S = p`; rows from S on become zero when overwriting.
package struct PositionsGradient: Operation {
  package static let name = "positions gradient"
  package var op: Op { .positionsGradient(self) }
  package var sequenceLength: Int
  package var rows: ShardSlice?
  package var slice: SequenceSlice?
}

extension StepRecorder {
  /// Adds learned positions to `x` (`[T, D]`).
  public mutating func positions(
    _ x: Tensor, _ table: Tensor, sequenceLength: Int, start: Tensor? = nil
  ) -> Tensor {
    let rows = x.placement == .sharded(.rows) ? ShardSlice(axis: .tensor, count: x.rows) : nil
    return record(
      Positions(
        sequenceLength: sequenceLength, rows: rows,
        slice: SequenceSlice(mesh, sequenceLength: sequenceLength)), [x, table] + (start.map { [$0] } ?? []))[
        0]
  }
}
