import ApusModels

/// The FLOPs that a model needs for a token, forward and backward, whatever the program really runs:
/// recomputation does not count, so utilisation measured with them is MFU.
///
/// 6 N for the products with the weights, and the attention matrices: 12 L w s with w the attention width
/// (heads times head size, h as a rule), half of it where attention is causal and the masked half is not
/// computed. The two differ by the attention's whole share, so say which one stands there.
///
/// Source: Chowdhery et al. 2022, "PaLM", appendix B; domain reference B13.
package struct ModelFLOPs: Hashable, Sendable {
  /// Which parameters the 6 N counts.
  package enum Counting: String, Hashable, Sendable, CaseIterable {
    /// All but learned positions; a tied head once. An untied input embedding, which is looked up and
    /// never multiplied, is counted as the field does, so an untied model's figure is a little high.
    case everyParameterButPositions
    /// Embedding and head both, also when they are one: what the published benchmark campaign uses
    /// (domain reference B7).
    case embeddingAndHeadApart
  }

  /// Whether the half of the attention matrix that a causal mask hides counts.
  package enum Attention: String, Hashable, Sendable, CaseIterable { case causal, full }

  /// N of the 6 N.
  package let countedParameters: Int
  package let layerCount: Int
  /// Heads times head size.
  package let attentionWidth: Int
  package let sequenceLength: Int

  package init(countedParameters: Int, layerCount: Int, attentionWidth: Int, sequenceLength: Int) {
    self.countedParameters = countedParameters
    self.layerCount = layerCount
    self.attentionWidth = attentionWidth
    self.sequenceLength = sequenceLength
  }

  package init(
    _ model: ModelConfiguration, sequenceLength: Int, counting: Counting = .everyParameterButPositions
  ) {
    let count = ParameterCount(model)
    let second = counting == .embeddingAndHeadApart && model.tiedEmbeddings ? count.embedding : 0
    self.init(
      countedParameters: count.withoutPositions + second, layerCount: model.layerCount,
      attentionWidth: model.headCount * model.headSize, sequenceLength: sequenceLength)
  }

  /// 6 N + 6 L w s (causal) or 6 N + 12 L w s (full), FLOPs of one token.
  package func perToken(_ attention: Attention) -> Double {
    let matrices = Double(layerCount) * Double(attentionWidth) * Double(sequenceLength)
    return 6 * Double(countedParameters) + (attention == .causal ? 6 : 12) * matrices
  }

  /// The forward pass alone: a third.
  package func forwardPerToken(_ attention: Attention) -> Double { perToken(attention) / 3 }

  /// Share of a device's peak, 0 to 1.
  ///
  /// - Parameters:
  ///   - tokensPerSecond: of all ranks together, or of one.
  ///   - peakFLOPsPerSecond: of as many devices.
  package func utilization(
    tokensPerSecond: Double, peakFLOPsPerSecond: Double, _ attention: Attention = .causal
  ) -> Double {
    perToken(attention) * tokensPerSecond / peakFLOPsPerSecond
  }
}
