import ApusCore
import ApusProgram
import Testing

/// Placements: the table of moves, duals, and that illegal pairs stop while recording.
@Suite struct PlacementTests {
  private static let pairs: [(Placement, Placement, CollectiveKind?, CollectiveKind?)] = [
    (.invariant, .invariant, nil, nil), (.invariant, .replicated, nil, .allReduce),
    (.partialSum, .invariant, .allReduce, nil), (.partialSum, .replicated, .allReduce, .allReduce),
    (.invariant, .sharded(.rows), nil, .allGather), (.sharded(.rows), .invariant, .allGather, nil),
    (.sharded(.rows), .replicated, .allGather, .reduceScatter),
    (.partialSum, .sharded(.rows), .reduceScatter, .allGather),
  ]

  /// The collective of each move, and of its gradient by duality.
  @Test func movesAndTheirGradients() {
    for (from, to, forward, backward) in Self.pairs {
      #expect(Move(from: from, to: to, axis: .tensor, degree: 2).collective == forward)
      let back = Move(from: to.dual, to: from.dual, axis: .tensor, degree: 2)
      #expect(back.collective == backward, "\(from.text) to \(to.text)")
      #expect(from.dual.dual == from)
    }
  }

  private static func matrix(_ rows: Int, _ columns: Int, _ placement: Placement, _ step: inout StepRecorder)
    -> Tensor
  {
    step.tensor("x", .input, Signature(rows, columns, .float32, placement))
  }

  @Test func legalLinears() {
    var step = StepRecorder()
    let cases: [(Placement, Placement, WeightLayout, Placement)] = [
      (.invariant, .invariant, .inputMajor, .invariant),
      (.replicated, .sharded(.columns), .inputMajor, .sharded(.columns)),
      (.replicated, .sharded(.rows), .outputMajor, .sharded(.columns)),
      (.sharded(.columns), .sharded(.rows), .inputMajor, .partialSum),
      (.sharded(.columns), .sharded(.columns), .outputMajor, .partialSum),
      (.sharded(.rows), .replicated, .inputMajor, .sharded(.rows)),
    ]
    for (x, w, layout, result) in cases {
      let (a, b) = (Self.matrix(4, 4, x, &step), Self.matrix(4, 4, w, &step))
      #expect(step.linear(a, b, layout: layout).placement == result)
    }
  }

  // An enter that was forgotten: the gradient of x would be a term of a sum that nobody takes.
  @Test func aForgottenEnterStops() async {
    await #expect(processExitsWith: .failure) {
      var step = StepRecorder()
      let x = step.tensor("x", .input, Signature(4, 4))
      let w = step.tensor("w", .input, Signature(4, 4, .float32, .sharded(.columns)))
      _ = step.linear(x, w, layout: .inputMajor)
    }
  }

  // A leave that was forgotten: terms of a sum added to a whole stream.
  @Test func aForgottenLeaveStops() async {
    await #expect(processExitsWith: .failure) {
      var step = StepRecorder()
      let stream = step.tensor("stream", .input, Signature(4, 4))
      let x = step.tensor("x", .input, Signature(4, 4, .float32, .sharded(.columns)))
      let w = step.tensor("w", .input, Signature(4, 4, .float32, .sharded(.rows)))
      _ = step.add(stream, step.linear(x, w, layout: .inputMajor))
    }
  }

  // A norm weight called invariant where each rank sees its own tokens: its gradient would never be summed.
  @Test func aNormWeightWithTheWrongPlacementStops() async {
    await #expect(processExitsWith: .failure) {
      var step = StepRecorder()
      let x = step.tensor("x", .input, Signature(4, 4, .float32, .sharded(.rows)))
      let w = step.tensor("w", .input, Signature(1, 4))
      _ = step.rmsNorm(x, weight: w, epsilon: 1e-5)
    }
  }

  // An activation function of a term is no term of the activation function.
  @Test func anActivationOfAPartialSumStops() async {
    await #expect(processExitsWith: .failure) {
      var step = StepRecorder()
      let x = step.tensor("x", .input, Signature(4, 4, .float32, .partialSum))
      _ = step.gelu(x)
    }
  }
}
