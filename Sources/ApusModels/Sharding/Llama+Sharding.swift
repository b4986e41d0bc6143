import ApusProgram

/// How Llama's parameters are divided over the tensor axis.
struct LlamaSharding {
  /// Rows of the token table and of the head, padded to a multiple of the degree.
  let vocabulary: ParameterSplit
  /// Columns, in the order of the heads.
  let attentionOut: ParameterSplit
  let down: ParameterSplit
  /// Norms.
  let whole: ParameterSplit
  private let heads: HeadShape
  private let intermediateSize: Int

  init(_ c: ModelConfiguration, _ boundaries: BlockBoundaries) {
    vocabulary = .along(.rows, [.init(c.vocabularySize)])
    attentionOut = .along(.columns, [.init(c.heads.queryWidth)])
    down = .along(.columns, [.init(c.intermediateSize)])
    whole = boundaries.whole
    (heads, intermediateSize) = (c.heads, c.intermediateSize)
  }

  /// Rows by heads; ranks beyond the number of key-value heads hold copies of keys and values.
  func queryKeyValue(_ layer: String) -> ParameterSplit {
    .along(
      .rows,
      [
        .init(name: "\(layer).self_attn.q_proj.weight", heads.queryWidth),
        .init(name: "\(layer).self_attn.k_proj.weight", heads.keyWidth, over: .keyValueHeads),
        .init(name: "\(layer).self_attn.v_proj.weight", heads.keyWidth, over: .keyValueHeads),
      ])
  }

  /// Rows of all experts, one after the other.
  func experts(_ rows: Int) -> ParameterSplit { .along(.rows, [.init(rows, over: .expert)]) }

  /// Rows of gate and of up.
  func gateUp(_ layer: String) -> ParameterSplit {
    .along(
      .rows,
      [
        .init(name: "\(layer).mlp.gate_proj.weight", intermediateSize),
        .init(name: "\(layer).mlp.up_proj.weight", intermediateSize),
      ])
  }
}
