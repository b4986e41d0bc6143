import ApusConfiguration
import Foundation

/// The learning rate of each step, a pure function of the step.
package struct LearningRate: Hashable, Sendable {
  package var peak: Double
  package var minimum: Double
  package var warmupSteps: Int
  package var steps: Int
  package var schedule: TrainingSection.Schedule

  package init(_ training: TrainingSection) {
    peak = training.learningRate
    minimum = training.minimumLearningRate
    warmupSteps = training.warmupSteps
    steps = training.steps
    schedule = training.schedule
  }

  /// The rate of step `step`, counted from 1: a straight rise to the peak over the warm-up, then constant, a
  /// straight fall, or half a cosine (Loshchilov and Hutter 2017) to the minimum at the last step.
  package func value(step: Int) -> Double {
    if step <= warmupSteps { return peak * Double(step) / Double(warmupSteps) }
    let progress = min(1, Double(step - warmupSteps) / Double(max(1, steps - warmupSteps)))
    switch schedule {
    case .constant: return peak
    case .linear: return peak + (minimum - peak) * progress
    case .cosine: return minimum + (peak - minimum) * 0.5 * (1 + cos(.pi * progress))
    }
  }
}
