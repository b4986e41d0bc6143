/// What recomputation saves and costs, as shares.
///
/// These are the published forms. They bound what a program does: one that runs again only what
/// backward reads costs less, and its own count should stand beside them.
package struct RecomputationCost: Hashable, Sendable {
  package var shape: TransformerShape
  package var sequenceLength: Int

  package init(_ shape: TransformerShape, sequenceLength: Int) {
    self.shape = shape
    self.sequenceLength = sequenceLength
  }

  /// Full recomputation runs forward twice; forward is a third of a step's FLOPs (domain reference S15).
  package static let fullShareOfStep = 1.0 / 3.0

  /// Share of the activations that selective recomputation drops: (5 a s / h) / (34 + 5 a s / h);
  /// 70 % for GPT-3 (S16).
  package var selectiveSavedShare: Double {
    let matrices = 5 * Double(shape.headCount * sequenceLength) / Double(shape.hiddenSize)
    return matrices / (34 + matrices)
  }

  /// The published cost of selective recomputation: (s / 6 h) / (1 + s / 6 h); 2.7 % for GPT-3.
  ///
  /// Source: Korthikanti et al. 2022, as the domain reference S16 derives it. Erratum 2: the plain count
  /// below is a third of it.
  package var selectivePublishedShare: Double {
    let ratio = Double(sequenceLength) / (6 * Double(shape.hiddenSize))
    return ratio / (1 + ratio)
  }

  /// The plain count: one more Q Kᵀ and A V, 4 b s² h a layer, over the layer's whole step,
  /// 72 b s h² + 12 b s² h; 0.90 % for GPT-3 (S16).
  package var selectiveCountedShare: Double {
    let (s, h) = (Double(sequenceLength), Double(shape.hiddenSize))
    return 4 * s / (72 * h + 12 * s)
  }
}
