import ApusCore

/// Memory of the activations that one micro-batch keeps for backward, in the textbook's transformer:
/// bf16, GELU, intermediate size 4 h, dropout, the attention matrix kept.
///
/// A layer keeps s b h (34 + 5 a s / h) bytes: linear in the batch, quadratic in the sequence.
/// Source: Korthikanti et al. 2022, "Reducing Activation Recomputation in Large Transformer Models",
/// equation 1; domain reference S13.
package struct ActivationFormula: Hashable, Sendable {
  /// What backward computes again instead of reading it.
  package enum Recomputation: String, Hashable, Sendable, CaseIterable {
    case none
    /// The attention matrix and what follows from it up to the product with the values.
    case selective
    /// Everything but the inputs of the layers.
    case full
  }

  package var shape: TransformerShape
  /// s, tokens of a sequence.
  package var sequenceLength: Int
  /// b, sequences of a micro-batch.
  package var microBatchSize: Int

  package init(_ shape: TransformerShape, sequenceLength: Int, microBatchSize: Int = 1) {
    self.shape = shape
    self.sequenceLength = sequenceLength
    self.microBatchSize = microBatchSize
  }

  /// All layers: L s b h (34 + 5 a s / h), L s b h 34 (selective, S16), L s b h 2 (full, S15).
  package func bytes(_ recomputation: Recomputation = .none) -> ByteCount {
    ByteCount(shape.layerCount * bytesOfLayer(recomputation).bytes)
  }

  /// As the reference's bars draw it: s b h more for the mask of the dropout behind the embedding.
  package func bytesWithEmbeddingDropout(_ recomputation: Recomputation = .none) -> ByteCount {
    ByteCount(bytes(recomputation).bytes + hidden)
  }

  package func bytesOfLayer(_ recomputation: Recomputation) -> ByteCount {
    switch recomputation {
    case .none: ByteCount(items.reduce(0) { $0 + $1.size.bytes })
    case .selective: ByteCount(items.reduce(0) { $0 + ($1.isRecomputedSelectively ? 0 : $1.size.bytes) })
    case .full: ByteCount(2 * hidden)
    }
  }

  /// Elements of one hidden state, s b h.
  var hidden: Int { sequenceLength * microBatchSize * shape.hiddenSize }
  /// Elements of the attention matrices of a layer, a s² b.
  var matrix: Int { shape.headCount * sequenceLength * sequenceLength * microBatchSize }
}
