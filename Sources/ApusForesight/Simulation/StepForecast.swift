import ApusModels

/// What foresight says about one step.
package struct StepForecast: Hashable, Sendable {
  package var stepSeconds = 0.0
  /// Of the slowest stage: seconds its device computes.
  package var computeSeconds = 0.0
  /// Seconds it waits for the host to dispatch.
  package var hostSeconds = 0.0
  /// Seconds it waits for other stages.
  package var bubbleSeconds = 0.0
  /// Communication that nothing hides, by axis.
  package var exposed: [CommunicationAxis: Double] = [:]
  package var optimizerSeconds = 0.0
  package var tokensPerSecondPerDevice = 0.0
  /// Share of the peak, attention counted causal (half) and full.
  package var utilizationCausal = 0.0
  package var utilizationFull = 0.0
  package var memory = MemoryForecast()

  package init() {}
}

/// Bytes of the fullest rank.
package struct MemoryForecast: Hashable, Sendable {
  package var stage = 0
  package var parameters = 0.0
  package var gradients = 0.0
  package var optimizer = 0.0
  package var activations = 0.0
  package var temporary = 0.0
  /// Tensors alive at the peak of the first and of later steps.
  package var firstPeak = 0.0
  package var allocatedPeak = 0.0
  /// What a caching allocator holds for them.
  package var reservedPeak = 0.0
  /// What a device monitor shows: reserved, context and communicators.
  package var devicePeak = 0.0
  /// Whether the device can hold it.
  package var fits = true

  package init() {}
}
