import ApusCore

/// Number and size of the heads that lie side by side in a row of queries, keys and values.
public struct HeadShape: Hashable, Sendable {
  public var headCount: Int
  public var keyValueHeadCount: Int
  public var headSize: Int

  public init(headCount: Int, keyValueHeadCount: Int, headSize: Int) {
    self.headCount = headCount
    self.keyValueHeadCount = keyValueHeadCount
    self.headSize = headSize
  }

  /// Columns of all query heads, and of the attention's output.
  public var queryWidth: Int { headCount * headSize }
  /// Columns of all key heads; values have as many.
  public var keyWidth: Int { keyValueHeadCount * headSize }
  /// Columns of queries, keys and values side by side.
  public var width: Int { queryWidth + 2 * keyWidth }
}

/// Causal attention, tiled with an online softmax: `o = softmax(q k^T / sqrt(headSize)) v`, each query
/// seeing its own and earlier positions of its sequence (Vaswani et al. 2017; Dao 2023). Grouped queries:
/// head h reads key-value head h / (heads / key-value heads) (Ainslie et al. 2023).
///
/// Input: q, k, v side by side `[T, width]`. Outputs: o `[T, queryWidth]`, log-sum-exp `[heads, T]`.
/// FLOPs: 4 · headSize a visible (query, key) pair; a sequence of S has S(S+1)/2 a head.
package struct Attention: ForwardOperation {
  package static let name = "attention"
  package var op: Op { .attention(self) }

  package var heads: HeadShape
  package var sequenceLength: Int

  package func results(_ inputs: [Tensor]) -> [Signature] {
    let x = inputs[0]
    require(x.columns == heads.width, "attention: \(x.columns) columns, the heads need \(heads.width)")
    require(
      x.rows.isMultiple(of: sequenceLength),
      "attention: \(x.rows) rows are not whole sequences of \(sequenceLength)")
    require(
      x.placement == .invariant || x.placement == .sharded(.columns),
      "attention: heads can be divided over ranks, but x is \(x.placement.text)")
    return [
      Signature(x.rows, heads.queryWidth, x.type, x.placement), Signature(heads.headCount, x.rows),
    ]
  }

  /// Visible (query, key) pairs of all heads for `rows` rows.
  func pairs(rows: Int) -> Int { heads.headCount * rows * (sequenceLength + 1) / 2 }

  package func cost(_ inputs: [Tensor], _ outputs: [Destination]) -> Cost {
    Cost(
      flops: 4 * heads.headSize * pairs(rows: inputs[0].rows), bytes: Self.bytes(inputs, outputs))
  }

  package func differentiate(_ pass: inout GradientPass, _ call: Instruction) {
    let qkv = call.inputs[0]
    let dot = pass.temporary("attention row sums", Signature(heads.headCount, qkv.rows))
    pass.emit(
      AttentionGradient(forward: self),
      [pass.gradient(call, 0), qkv, call.outputs[0].tensor, call.outputs[1].tensor],
      to: [pass.firstDestination(qkv), Destination(dot)])
  }
}

/// Gradients of q, k and v, side by side; recomputes the scores tile by tile from the log-sum-exp.
///
/// Inputs: do, qkv, o, log-sum-exp. Outputs: dqkv, row sums of do · o `[heads, T]`. FLOPs: five products of
/// the forward's size: 10 · headSize a visible pair.
package struct AttentionGradient: Operation {
  package static let name = "attention gradient"
  package var op: Op { .attentionGradient(self) }
  package var forward: Attention

  package func cost(_ inputs: [Tensor], _ outputs: [Destination]) -> Cost {
    Cost(
      flops: 10 * forward.heads.headSize * forward.pairs(rows: inputs[1].rows),
      bytes: Self.bytes(inputs, outputs))
  }
}

extension StepRecorder {
  /// Causal attention over sequences of `sequenceLength` rows, over all ranks of the context axis; gives
  /// `[T, queryWidth]`.
  public mutating func attention(_ qkv: Tensor, heads: HeadShape, sequenceLength: Int) -> Tensor {
    if let slice = SequenceSlice(mesh, sequenceLength: sequenceLength) {
      return contextAttention(qkv, heads: heads, slice: slice)
    }
    return record(Attention(heads: heads, sequenceLength: sequenceLength), [qkv])[0]
  }
}
