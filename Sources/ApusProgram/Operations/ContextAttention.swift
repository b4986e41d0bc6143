import ApusCore

/// Causal attention of a rank's own queries to the keys and values of whole sequences, which the ranks of the context
/// axis have gathered from each other (Llama Team 2024, section 3.3.2; domain reference B4).
///
/// Inputs: q, k, v of the rank's tokens side by side `[T, width]`, of which q is read; k and v of all ranks, rank after
/// rank, `[n T, 2 keyWidth]`. Outputs: o `[T, queryWidth]`, log-sum-exp `[heads, T]`. FLOPs: as `Attention`, for the
/// pairs of the rank's queries with what they see: S(S + 1)/2n a head and sequence on every rank.
package struct ContextAttention: ForwardOperation {
  package static let name = "context attention"
  package var op: Op { .contextAttention(self) }
  package var heads: HeadShape
  package var slice: SequenceSlice

  package init(heads: HeadShape, slice: SequenceSlice) {
    self.heads = heads
    self.slice = slice
  }

  package func results(_ inputs: [Tensor]) -> [Signature] {
    let (x, keys) = (inputs[0], inputs[1])
    require(x.columns == heads.width, "attention: \(x.columns) columns, the heads need \(heads.width)")
    require(
      x.rows.isMultiple(of: slice.localLength),
      "attention: \(x.rows) rows are not a rank's parts of \(slice.localLength) tokens")
    require(
      keys.rows == x.rows * slice.degree && keys.columns == 2 * heads.keyWidth,
      "attention: keys and values \(keys.shapeText) for queries \(x.shapeText) on \(slice.degree) ranks")
    require(
      x.placement == .invariant || x.placement == .sharded(.columns),
      "attention: heads can be divided over ranks, but x is \(x.placement.text)")
    return [
      Signature(x.rows, heads.queryWidth, x.type, x.placement), Signature(heads.headCount, x.rows),
    ]
  }

  /// Visible (query, key) pairs of all heads for `rows` rows.
  package func pairs(rows: Int) -> Int { heads.headCount * rows * (slice.sequenceLength + 1) / 2 }

  package func cost(_ inputs: [Tensor], _ outputs: [Destination]) -> Cost {
    Cost(flops: 4 * heads.headSize * pairs(rows: inputs[0].rows), bytes: Self.bytes(inputs, outputs))
  }

  package func differentiate(_ pass: inout GradientPass, _ call: Instruction) {
    let (qkv, keys) = (call.inputs[0], call.inputs[1])
    pass.emit(
      ContextAttentionGradient(forward: self),
      [pass.gradient(call, 0), qkv, keys, call.outputs[0].tensor, call.outputs[1].tensor],
      to: [pass.firstDestination(qkv), pass.firstDestination(keys)])
  }
}

/// Gradients of q, beside zeros for k and v, and of the gathered keys and values: what the rank's own queries add.
///
/// Inputs: do, qkv, gathered keys and values, o, log-sum-exp. Outputs: dqkv, dkv. FLOPs: five products of the forward's
/// size.
package struct ContextAttentionGradient: Operation {
  package static let name = "context attention gradient"
  package var op: Op { .contextAttentionGradient(self) }
  package var forward: ContextAttention

  package func cost(_ inputs: [Tensor], _ outputs: [Destination]) -> Cost {
    Cost(
      flops: 10 * forward.heads.headSize * forward.pairs(rows: inputs[1].rows),
      bytes: Self.bytes(inputs, outputs))
  }
}

/// `out = x[:, first ..< first + count]`, side by side: what a collective takes.
package struct ColumnSlice: ForwardOperation {
  package static let name = "column slice"
  package var op: Op { .columnSlice(self) }
  package var first: Int
  package var count: Int

  package func results(_ inputs: [Tensor]) -> [Signature] {
    let x = inputs[0]
    require(first + count <= x.columns, "column slice: \(first) + \(count) of \(x.columns) columns")
    return [Signature(x.rows, count, x.type, x.placement)]
  }

  package func cost(_ inputs: [Tensor], _ outputs: [Destination]) -> Cost {
    Cost(flops: 0, bytes: 2 * outputs[0].tensor.byteCount)
  }

  package func differentiate(_ pass: inout GradientPass, _ call: Instruction) {
    let destination = pass.destination(call.inputs[0])
    require(destination.mode == .accumulate, "column slice: the first reader of x gives all of its gradient")
    pass.emit(ColumnSliceGradient(first: first), [pass.gradient(call, 0)], to: [destination])
  }
}

/// `dx[:, first ..< first + count] += dout`; the other columns stay.
package struct ColumnSliceGradient: Operation {
  package static let name = "column slice gradient"
  package var op: Op { .columnSliceGradient(self) }
  package var first: Int

  package func cost(_ inputs: [Tensor], _ outputs: [Destination]) -> Cost {
    Cost(flops: 0, bytes: 3 * inputs[0].byteCount)
  }
}

extension StepRecorder {
  /// Attention over sequences that are divided over the context axis: keys and values are gathered, in backward their
  /// gradients are summed and scattered.
  mutating func contextAttention(_ qkv: Tensor, heads: HeadShape, slice: SequenceSlice) -> Tensor {
    let own = record(ColumnSlice(first: heads.queryWidth, count: 2 * heads.keyWidth), [qkv])[0]
    let gather = Move(from: .sharded(.rows), to: .replicated, axis: .context, degree: slice.degree)
    let keys = record(gather, [own])[0]
    return record(ContextAttention(heads: heads, slice: slice), [qkv, keys])[0]
  }
}
