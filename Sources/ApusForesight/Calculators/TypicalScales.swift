/// The sizes that tell at a glance what matters in a step (domain reference B13). Elements, not bytes, unless said.
package struct TypicalScales: Hashable, Sendable {
  package let shape: TransformerShape
  /// Tokens of a sequence.
  package let sequenceLength: Int
  /// Sequences of a micro-batch.
  package let microBatchSize: Int
  /// Whether the feed-forward block has a gate, with an intermediate size of 4 h as without (the reference's
  /// counting; architectures in use take about 8 h / 3 then, which brings the block back to 12 h²).
  package let isGated: Bool

  package init(_ shape: TransformerShape, sequenceLength: Int, microBatchSize: Int = 1, isGated: Bool = true)
  {
    self.shape = shape
    self.sequenceLength = sequenceLength
    self.microBatchSize = microBatchSize
    self.isGated = isGated
  }

  private var h: Int { shape.hiddenSize }

  package var tokens: Int { sequenceLength * microBatchSize }
  /// seq mbs h
  package var hiddenState: Int { tokens * h }
  /// A square weight matrix and its gradient: h²
  package var weightMatrix: Int { h * h }
  /// Of one weight matrix, counted in elements of two bytes: master weights and two moments in fp32, 6 h².
  package var optimizerStates: Int { 6 * h * h }
  /// 3 h²
  package var queryKeyValue: Int { 3 * h * h }
  /// h²
  package var attentionOutput: Int { h * h }
  /// Gate and up 8 h², or up alone 4 h².
  package var feedForwardEntrance: Int { (isGated ? 8 : 4) * h * h }
  /// 4 h²
  package var feedForwardExit: Int { 4 * h * h }
  /// 16 h² with a gate, 12 h² without.
  package var block: Int { queryKeyValue + attentionOutput + feedForwardEntrance + feedForwardExit }
  /// v h; a head of its own has as many.
  package var embedding: Int { shape.vocabularySize * h }
  /// Learned positions: max_seq h.
  package var positions: Int { sequenceLength * h }

  /// All blocks and the embedding as head.
  package var parameterCount: Int { shape.layerCount * block + embedding }

  /// 2 tokens N
  package var forwardFLOPs: Double { 2 * Double(tokens) * Double(parameterCount) }
  /// 4 tokens N
  package var backwardFLOPs: Double { 4 * Double(tokens) * Double(parameterCount) }

  /// 6 seq N + 12 L h seq² for each sequence, attention counted in full.
  package var preciseFLOPs: Double {
    let (s, L) = (Double(sequenceLength), Double(shape.layerCount))
    let sequence = 6 * s * Double(parameterCount) + 12 * L * Double(h) * s * s
    return Double(microBatchSize) * sequence
  }

  /// Attention's share of the step.
  package var attentionShare: Double { 1 - (forwardFLOPs + backwardFLOPs) / preciseFLOPs }

  /// The sequence length at which attention's matrices cost as much as a block's products: 6 h, or 8 h with a
  /// gate. The reference's note asks for seq² << h, which no model meets; what makes attention negligible is
  /// seq << 6 h, from 12 L h seq << 6 N (erratum 13).
  package var balancedSequenceLength: Int { block / (2 * h) }
}
