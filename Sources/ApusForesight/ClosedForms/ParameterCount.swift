import ApusModels

/// The exact number of parameters of a model, by where they are.
///
/// Sources: Radford et al. 2019 (GPT-2) and Touvron et al. 2023 (Llama); the tests compare with the
/// published models. A tied head counts once, under `embedding`.
package struct ParameterCount: Hashable, Sendable {
  /// Token embedding, [v, h].
  package let embedding: Int
  /// Learned positions, [s, h]; 0 with rotary positions.
  package let positions: Int
  /// Attention of all layers.
  package let attention: Int
  /// Feed-forward blocks of all layers; in a mixture all experts and their router.
  package let feedForward: Int
  /// Of those, the experts that a token does not go to.
  package let idleExperts: Int
  /// All norms, the last one too.
  package let norms: Int
  /// Output projection, [h, v]; 0 where it is the embedding.
  package let head: Int

  package init(_ model: ModelConfiguration) {
    let (h, f) = (model.hiddenSize, model.intermediateSize)
    // Columns of the query, key and value product; rows of the output projection.
    let columns = (model.headCount + 2 * model.keyValueHeadCount) * model.headSize
    let rows = model.headCount * model.headSize
    let layerAttention: Int
    let layerFeedForward: Int
    let norm: Int
    let experts = model.experts ?? .init(count: 1, perToken: 1)
    switch model.family {
    case .gpt2:
      layerAttention = (h + 1) * columns + rows * h + h
      layerFeedForward = (h + 1) * f + f * h + h
      norm = 2 * h
      positions = model.maximumSequenceLength * h
    case .llama:
      layerAttention = h * columns + rows * h
      layerFeedForward = experts.count * 3 * h * f + (model.experts == nil ? 0 : experts.count * h)
      norm = h
      positions = 0
    }
    embedding = model.vocabularySize * h
    attention = model.layerCount * layerAttention
    feedForward = model.layerCount * layerFeedForward
    idleExperts = model.layerCount * (experts.count - experts.perToken) * 3 * h * f
    norms = (2 * model.layerCount + 1) * norm
    head = model.tiedEmbeddings ? 0 : model.vocabularySize * h
  }

  package var total: Int { embedding + positions + attention + feedForward + norms + head }

  /// The matrices and tables alone, as many published figures count.
  package var withoutNorms: Int { total - norms }

  /// What counts in model FLOPs: all but the learned positions, which are looked up and added, and the experts that a
  /// token does not go to.
  package var withoutPositions: Int { total - positions - idleExperts }
}
