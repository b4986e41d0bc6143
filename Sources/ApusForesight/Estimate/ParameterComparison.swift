import ApusModels
import ApusProgram

/// The parameters of a recorded program, enumerated, beside the closed form N = h v + L (12 h² + 13 h) + 2 h
/// of a GPT-like model (domain reference S9), with every difference named.
package struct ParameterComparison: Hashable, Sendable {
  /// Enumerated from the program's tensors, over all ranks, padding excluded.
  package let enumerated: Int
  package let formula: Int
  /// They add up to `enumerated - formula`.
  package let deviations: [Deviation]

  package init(_ model: ModelConfiguration, _ program: StepProgram) {
    enumerated = program.parameterCount
    formula = TransformerShape(model).parameterCount
    let count = ParameterCount(model)
    let (h, L) = (model.hiddenSize, model.layerCount)
    let heads = model.heads
    let attentionMatrices = L * h * (heads.width + heads.queryWidth)
    let matricesOfBlock = model.family == .gpt2 ? 2 : 3
    let feedForwardMatrices = L * matricesOfBlock * h * model.intermediateSize
    let biases = count.attention + count.feedForward - attentionMatrices - feedForwardMatrices
    let feedForwardName =
      model.family == .llama
      ? "feed-forward: gate, up and down of \(model.intermediateSize) instead of two matrices of 4 h"
      : "feed-forward: intermediate size \(model.intermediateSize) instead of 4 h"
    deviations = Deviation.list([
      ("learned positions", count.positions),
      ("head apart from the embedding", count.head),
      (
        "attention: \(heads.keyValueHeadCount) key-value heads for \(heads.headCount) heads of \(heads.headSize)",
        attentionMatrices - 4 * L * h * h
      ),
      (feedForwardName, feedForwardMatrices - 8 * L * h * h),
      (
        "biases: \(biases == 0 ? "none" : "of other widths"), the formula has 9 h a layer", biases - 9 * L * h
      ),
      ("norms without biases", count.norms - (4 * L * h + 2 * h)),
    ])
  }
}

extension MemoryEstimate {
  package var parameters: ParameterComparison { ParameterComparison(model, program) }
}
