import ApusCore

/// The head fused with cross-entropy: `losses[t] = logsumexp(x[t] W^T) - (x[t] W^T)[target[t]]`, worked off
/// in chunks of rows, so that the logits `[T, V]` never exist whole. A negative target gives loss 0. Logits,
/// softmax and losses are float32; the logits' gradients have the type of x.
///
/// Inputs: x `[T, D]`, W `[V, D]`, targets `[1, T]` int32, control. Output: losses `[1, T]`.
///
/// When training its gradient rule replaces it: one instruction that opens the backward segment yields the
/// weighted loss, dx and dW from one pass over the logits. Where the table's rows are divided over ranks, it is
/// replaced by the instructions of `ShardedHead`.
package struct HeadLoss: ForwardOperation {
  package static let name = "head and loss"
  package var op: Op { .headLoss(self) }

  /// The table's rows on a rank; nil where it has all.
  package var vocabulary: VocabularySlice?

  package func results(_ inputs: [Tensor]) -> [Signature] {
    let (x, w, targets) = (inputs[0], inputs[1], inputs[2])
    require(x.columns == w.columns, "head: x has \(x.columns) columns, the table \(w.columns)")
    require(x.rows == targets.count, "head: \(x.rows) rows, but \(targets.count) targets")
    require(
      x.placement == (vocabulary == nil ? .invariant : .replicated)
        && w.placement == (vocabulary == nil ? .invariant : .sharded(.rows)),
      "head: x is \(x.placement.text), the table \(w.placement.text)")
    require(x.type == w.type, "head: x is \(x.type), the table \(w.type)")
    return [Signature(1, x.rows)]
  }

  package func cost(_ inputs: [Tensor], _ outputs: [Destination]) -> Cost {
    Cost(flops: 2 * inputs[0].rows * inputs[1].count, bytes: Self.bytes(inputs, outputs))
  }

  package func differentiate(_ pass: inout GradientPass, _ call: Instruction) {
    pass.replaceForward()
    if let vocabulary { return ShardedHead(vocabulary).differentiate(&pass, call) }
    pass.emit(
      HeadLossGradient(isScaled: pass.scalesLoss), call.inputs,
      to: [pass.lossDestination(), pass.destination(call.inputs[0]), pass.destination(call.inputs[1])])
  }
}

/// Loss, dx and dW of the fused head.
///
/// Inputs: as `HeadLoss`. Outputs: the micro-batch's sum of losses times the control tensor's token weight
/// `[1, 1]`, dx `[T, D]`, dW `[V, D]`. FLOPs: 6TDV. Where the loss is scaled (Micikevicius et al. 2018), dx and
/// dW carry the control tensor's factor, the loss does not.
package struct HeadLossGradient: Operation {
  package static let name = "head and loss gradient"
  package var op: Op { .headLossGradient(self) }
  package var isScaled = false

  package func cost(_ inputs: [Tensor], _ outputs: [Destination]) -> Cost {
    Cost(flops: 6 * inputs[0].rows * inputs[1].count, bytes: Self.bytes(inputs, outputs))
  }
}

extension StepRecorder {
  /// Per-token cross-entropy of `x` times `table` transposed against `targets`.
  ///
  /// - Parameter vocabularySize: V over all ranks, for a table whose rows are divided.
  package mutating func headLoss(
    _ x: Tensor, _ table: Tensor, targets: Tensor, control: Tensor, vocabularySize: Int
  ) -> Tensor {
    record(
      HeadLoss(vocabulary: VocabularySlice(of: table, vocabularySize)), [x, table, targets, control])[0]
  }
}
