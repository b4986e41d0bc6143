import ApusModels
import ApusProgram

extension Configuration {
  /// What this configuration's step is recorded from, for one rank. Training, estimates and plans all record with
  /// it, so that what is foreseen is what runs.
  ///
  /// - Parameters:
  ///   - model: with its final vocabulary.
  ///   - device: of the pipeline.
  ///   - workspace: the scratch memory of the backend that would run it; a memory budget depends on it.
  /// - Throws: where no recomputation keeps the budget.
  package func programSettings(
    for model: ModelConfiguration, device: Int = 0, workspace: WorkspaceCatalogue
  ) throws(RecomputationBudgetRefusal) -> TrainingProgramSettings {
    var settings = TrainingProgramSettings(
      microBatchSize: training.microBatchSize, sequenceLength: training.sequenceLength,
      optimizer: OptimizerSettings(training), precision: training.precisionPolicy,
      evaluates: data.hasValidation, layout: layout.ranks, communication: layout.communication)
    settings.dropout = training.dropout
    settings.pipeline.device = device
    settings.accumulates = training.largestAccumulation > 1
    settings.recomputation = try training.recomputation.settings(for: model, settings, workspace: workspace)
    return settings
  }
}

extension OptimizerSettings {
  package init(_ training: TrainingSection) {
    self.init(
      beta1: training.beta1, beta2: training.beta2, epsilon: training.epsilon,
      weightDecay: training.weightDecay, decaysVectors: training.decay == .all,
      maximumNorm: training.gradientClip)
  }
}
