import ApusCore

/// The memory of a rank at the milestones of its first two steps.
///
/// Optimizer states appear with the first optimizer step, so the second forward and backward needs more
/// than the first: a run can pass step 1 and fail at step 2 (domain reference S8). Apus maps everything
/// before step 1; this is how allocators that grow behave, and what their published profiles show.
///
/// Source: the predict_memory figure, domain reference C2, which the test reproduces exactly.
package struct MemoryMilestones: Hashable, Sendable {
  package var weights: ByteCount
  package var masterWeights: ByteCount
  /// The buffer that gradients are summed in.
  package var gradients: ByteCount
  /// Adam's moments, allocated by the first optimizer step.
  package var moments: ByteCount
  /// The most that one forward and backward keeps.
  package var activations: ByteCount

  package init(
    weights: ByteCount, masterWeights: ByteCount, gradients: ByteCount, moments: ByteCount,
    activations: ByteCount
  ) {
    self.weights = weights
    self.masterWeights = masterWeights
    self.gradients = gradients
    self.moments = moments
    self.activations = activations
  }

  /// bf16 weights whose gradients are summed straight into an fp32 buffer, fp32 master weights and
  /// moments: 2, 4, 4 and 8 bytes a parameter.
  package init(bfloat16Weights weights: ByteCount, activations: ByteCount) {
    self.init(
      weights: weights, masterWeights: ByteCount(2 * weights.bytes), gradients: ByteCount(2 * weights.bytes),
      moments: ByteCount(4 * weights.bytes), activations: activations)
  }

  package var modelReady: ByteCount { weights }
  package var gradientsReady: ByteCount {
    ByteCount(weights.bytes + masterWeights.bytes + gradients.bytes)
  }
  package var firstPassPeak: ByteCount { ByteCount(gradientsReady.bytes + activations.bytes) }
  package var optimizerStep: ByteCount { ByteCount(gradientsReady.bytes + moments.bytes) }
  package var laterPassPeak: ByteCount { ByteCount(optimizerStep.bytes + activations.bytes) }

  /// The most of the whole run.
  package var peak: ByteCount { laterPassPeak }

  /// How far a device of some size gets.
  package enum Verdict: Hashable, Sendable {
    case fits
    /// Fits step 1, fails from step 2: its passes find the moments that step 1's update brought (S8).
    case failsFromSecondStep(missing: ByteCount)
    /// Step 1 passes forward and backward; its update, which brings the moments, does not fit.
    case failsAtFirstUpdate(missing: ByteCount)
    case failsAtFirstPass(missing: ByteCount)
  }

  package func verdict(capacity: ByteCount) -> Verdict {
    let missing = ByteCount(peak.bytes - capacity.bytes)
    if missing.bytes <= 0 { return .fits }
    if firstPassPeak > capacity { return .failsAtFirstPass(missing: missing) }
    return optimizerStep > capacity
      ? .failsAtFirstUpdate(missing: missing) : .failsFromSecondStep(missing: missing)
  }
}
