import ApusCore

/// Attention of new rows over a cache: appends their keys and values at `start`, then each row attends to
/// all positions up to its own. Used while generating; it has no gradient.
///
/// Inputs: qkv `[T, width]`, start position `[1, 1]` int32. Outputs: o `[T, queryWidth]`, key cache and
/// value cache `[capacity, keyWidth]` (accumulated: the rest of the cache is kept).
package struct CachedAttention: Operation {
  package static let name = "cached attention"
  package var op: Op { .cachedAttention(self) }
  package var heads: HeadShape

  package func cost(_ inputs: [Tensor], _ outputs: [Destination]) -> Cost {
    Cost(
      flops: 4 * heads.queryWidth * inputs[0].rows * outputs[1].tensor.rows,
      bytes: Self.bytes(inputs, outputs))
  }
}

extension StepRecorder {
  /// Attention of the rows of `qkv` over the caches, which receive their keys and values.
  package mutating func cachedAttention(
    _ qkv: Tensor, heads: HeadShape, start: Tensor, keyCache: Tensor, valueCache: Tensor
  ) -> Tensor {
    require(
      qkv.columns == heads.width, "cached attention: \(qkv.columns) columns, the heads need \(heads.width)")
    let out = tensor("cached attention", .activation, Signature(qkv.rows, heads.queryWidth, qkv.type))
    emit(
      CachedAttention(heads: heads), [qkv, start],
      to: [Destination(out), Destination(keyCache, .accumulate), Destination(valueCache, .accumulate)])
    return out
  }
}
