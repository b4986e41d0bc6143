/// Two shares of a device's peak (domain reference B1).
///
/// Model FLOPs utilisation counts what the model needs (Chowdhery et al. 2022); hardware FLOPs utilisation counts
/// what is computed, so what recomputation does again too. Without recomputation they are equal; with a whole
/// forward pass again, hardware over model is 4 / 3.
package struct FLOPsUtilization: Hashable, Sendable {
  /// Of a step, as the model needs them.
  package let modelFLOPs: Double
  /// What recomputation adds.
  package let recomputedFLOPs: Double
  /// Peak of all devices for one second.
  package let peakFLOPsPerSecond: Double

  package init(modelFLOPs: Double, recomputedFLOPs: Double, peakFLOPsPerSecond: Double) {
    self.modelFLOPs = modelFLOPs
    self.recomputedFLOPs = recomputedFLOPs
    self.peakFLOPsPerSecond = peakFLOPsPerSecond
  }

  package func model(stepSeconds: Double) -> Double { modelFLOPs / stepSeconds / peakFLOPsPerSecond }

  package func hardware(stepSeconds: Double) -> Double {
    (modelFLOPs + recomputedFLOPs) / stepSeconds / peakFLOPsPerSecond
  }

  /// Hardware over model utilisation, whatever the step's time.
  package var ratio: Double { (modelFLOPs + recomputedFLOPs) / modelFLOPs }
}
