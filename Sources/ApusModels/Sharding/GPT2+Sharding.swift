import ApusProgram

/// How GPT-2's parameters are divided over the tensor axis.
struct GPT2Sharding {
  /// Rows of the token table, padded to a multiple of the degree.
  let tokenTable: ParameterSplit
  /// Queries, keys and values, each by heads: columns of one published matrix.
  let attentionIn: ParameterSplit
  /// Rows, in the order of the heads.
  let attentionOut: ParameterSplit
  let feedForwardIn: ParameterSplit
  let feedForwardOut: ParameterSplit
  /// Norms, positions, and the biases of what leaves a block.
  let whole: ParameterSplit

  init(_ c: ModelConfiguration, _ boundaries: BlockBoundaries) {
    tokenTable = .along(.rows, [.init(c.vocabularySize)])
    attentionIn = .along(
      .columns, [.init(c.heads.queryWidth), .init(c.heads.keyWidth), .init(c.heads.keyWidth)])
    attentionOut = .along(.rows, [.init(c.heads.queryWidth)])
    feedForwardIn = .along(.columns, [.init(c.intermediateSize)])
    feedForwardOut = .along(.rows, [.init(c.intermediateSize)])
    whole = boundaries.whole
  }
}
