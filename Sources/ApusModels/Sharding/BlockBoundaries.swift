import ApusCore
import ApusProgram

/// Where a block's tensors change their placement over the tensor axis (Shoeybi et al. 2019, figure 3; with
/// sequence parallelism Korthikanti et al. 2022, figure 5).
///
/// | | residual stream, norms | enter | inside | leave |
/// | --- | --- | --- | --- | --- |
/// | tensor parallel | invariant | nothing / all-reduce | divided by heads, columns | all-reduce / nothing |
/// | with sequence parallelism | divided by tokens | all-gather / reduce-scatter | the same | reduce-scatter / all-gather |
///
/// (forward / backward). On one rank of the axis every move is nothing, and leaves nothing behind.
struct BlockBoundaries {
  private let isDivided: Bool
  /// The placement of the residual stream.
  let stream: Placement
  /// Norms and biases that every rank holds: with sequence parallelism each sees its own tokens only.
  let whole: ParameterSplit

  init(_ mesh: Mesh) {
    isDivided = mesh.degree(of: .tensor) > 1
    stream = isDivided && mesh.layout.sequenceParallel ? .sharded(.rows) : .invariant
    whole = .whole(gradientArrivesWhole: stream == .invariant)
  }

  /// The residual stream as one stage of a pipeline hands it to the next.
  func handedOn(rows: Int, hiddenSize: Int, in step: StepRecorder) -> Signature {
    let degree = stream == .sharded(.rows) ? step.mesh.degree(of: .tensor) : 1
    return Signature(rows / degree, hiddenSize, step.precision.compute, stream)
  }

  /// The input of matrices whose outputs are divided.
  func enter(_ x: Tensor, in step: inout StepRecorder) -> Tensor {
    isDivided ? step.move(x, to: .replicated) : x
  }

  /// A sum whose terms lie on the ranks goes back to the residual stream.
  func leave(_ x: Tensor, in step: inout StepRecorder) -> Tensor { step.move(x, to: stream) }

  /// The product with a matrix whose inputs are divided, back on the residual stream. The bias is added to the
  /// sum, not to each term.
  func leave(
    _ x: Tensor, times weight: Tensor, bias: Tensor? = nil, layout: WeightLayout, in step: inout StepRecorder
  ) -> Tensor {
    guard isDivided, let bias else {
      return leave(step.linear(x, weight, bias: bias, layout: layout), in: &step)
    }
    return step.addBias(leave(step.linear(x, weight, layout: layout), in: &step), bias)
  }
}

extension HeadShape {
  /// The heads of one rank.
  func local(on mesh: Mesh) -> HeadShape {
    HeadShape(
      headCount: headCount / mesh.degree(of: .tensor),
      keyValueHeadCount: keyValueHeadCount / mesh.degree(of: .keyValueHeads), headSize: headSize)
  }
}
