import ApusModels

/// Experts in place of each layer's feed-forward block: a router sends every token to a few of many blocks.
///
/// Sources: Shazeer et al. 2017 (sparsely gated mixtures), Fedus et al. 2021 (Switch), Jiang et al. 2024 (Mixtral),
/// DeepSeek-AI 2024 (shared experts). Every layer has the same experts and tokens are spread evenly over them.
package struct ExpertShape: Hashable, Sendable {
  /// Experts of a layer among which the router chooses.
  package var count: Int
  /// Experts that a token visits.
  package var active: Int
  /// Intermediate size of one expert.
  package var intermediateSize: Int
  /// Intermediate size of a block beside them that every token passes; 0 where there is none.
  package var sharedSize: Int

  package init(count: Int, active: Int, intermediateSize: Int, sharedSize: Int = 0) {
    self.count = count
    self.active = min(active, count)
    self.intermediateSize = intermediateSize
    self.sharedSize = sharedSize
  }

  /// The shared block, counted in experts.
  var sharedShare: Double { Double(sharedSize) / Double(intermediateSize) }
}

extension TrainingJob {
  /// Parameters of a layer's router.
  var routerParameters: Double { experts.map { Double($0.count * model.hiddenSize) } ?? 0 }

  /// Parameters beyond those of `model`, whose feed-forward block is one expert: of all experts, or of those that a
  /// token visits. Shared block and router count in both.
  private func parametersBeyondOneExpert(active: Bool) -> Int {
    guard let experts else { return 0 }
    let others = Double((active ? experts.active : experts.count) - 1) + experts.sharedShare
    let feedForward = Double(ParameterCount(model).feedForward)
    return Int(others * feedForward + Double(model.layerCount) * routerParameters)
  }

  /// All parameters, experts included.
  package var parameterCount: Int { ParameterCount(model).total + parametersBeyondOneExpert(active: false) }

  /// FLOPs that the model needs: with experts those of the ones that a token visits.
  package func modelFLOPs(_ counting: ModelFLOPs.Counting = .everyParameterButPositions) -> ModelFLOPs {
    let dense = ModelFLOPs(model, sequenceLength: sequenceLength, counting: counting)
    return ModelFLOPs(
      countedParameters: dense.countedParameters + parametersBeyondOneExpert(active: true),
      layerCount: dense.layerCount, attentionWidth: dense.attentionWidth, sequenceLength: sequenceLength)
  }
}
