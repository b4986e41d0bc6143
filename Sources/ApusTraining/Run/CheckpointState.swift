import ApusModels

/// What a checkpoint holds beside tensors: enough to go on exactly where it was saved.
///
/// The data position and all random numbers are pure functions of the seeds and the step, so no other state
/// exists.
package struct CheckpointState: Codable, Hashable, Sendable {
  /// The last finished step.
  package var step: Int
  package var tokensSeen: Int
  package var model: ModelConfiguration
  package var seed: Int
  package var configurationYAML: String
  package var tokenizerFingerprint: String
  /// Present in runs that scale their loss.
  package var lossScale: LossScale?

  package init(
    step: Int, tokensSeen: Int, model: ModelConfiguration, seed: Int, configurationYAML: String,
    tokenizerFingerprint: String, lossScale: LossScale? = nil
  ) {
    self.step = step
    self.tokensSeen = tokensSeen
    self.model = model
    self.seed = seed
    self.configurationYAML = configurationYAML
    self.tokenizerFingerprint = tokenizerFingerprint
    self.lossScale = lossScale
  }
}
