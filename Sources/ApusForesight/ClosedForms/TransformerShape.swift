import ApusModels

/// The few sizes that the field's closed forms speak of: a GPT-like model with as many key-value heads
/// as heads, an intermediate size of 4 h, biases, and a head tied to the embedding.
///
/// The formulas over it are for estimates and for comparison with published figures. Where numbers
/// must be right, count the program; `ParameterCount` is exact for the architectures of Apus.
package struct TransformerShape: Hashable, Sendable {
  /// L
  package var layerCount: Int
  /// h
  package var hiddenSize: Int
  /// a
  package var headCount: Int
  /// v
  package var vocabularySize: Int

  package init(layerCount: Int, hiddenSize: Int, headCount: Int, vocabularySize: Int) {
    self.layerCount = layerCount
    self.hiddenSize = hiddenSize
    self.headCount = headCount
    self.vocabularySize = vocabularySize
  }

  package init(_ model: ModelConfiguration) {
    self.init(
      layerCount: model.layerCount, hiddenSize: model.hiddenSize, headCount: model.headCount,
      vocabularySize: model.vocabularySize)
  }

  /// N = h v + L (12 h² + 13 h) + 2 h, without position embeddings.
  ///
  /// A layer: attention 4 h² + 4 h, feed-forward 8 h² + 5 h, two layer norms 4 h; then the last norm and
  /// the embedding, which is the head too. Source: domain reference S9.
  package var parameterCount: Int {
    let (h, v, L) = (hiddenSize, vocabularySize, layerCount)
    return h * v + L * (12 * h * h + 13 * h) + 2 * h
  }

  /// The formula that the reference's memory widget and its recomputation bars use: s h more than S9,
  /// the learned positions (erratum 9).
  package func parameterCount(withPositions sequenceLength: Int) -> Int {
    parameterCount + sequenceLength * hiddenSize
  }
}
