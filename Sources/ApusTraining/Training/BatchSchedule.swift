import ApusConfiguration

/// How many micro-batches each step has: the same, or a ramp at the start. A pure function of the step, so a resumed
/// run finds its place in the data without state.
package struct BatchSchedule: Hashable, Sendable {
  /// Last step and micro-batches of each stage of the ramp.
  private let stages: [(untilStep: Int, microbatches: Int)]
  /// Micro-batches of a step behind the ramp.
  package let microbatches: Int

  package init(microbatches: Int, ramp: [(untilStep: Int, microbatches: Int)] = []) {
    self.microbatches = microbatches
    stages = ramp
  }

  /// Stages of the ramp have the training's micro-batch.
  package init(_ training: TrainingSection) {
    // Samples of one micro-batch of all replicas.
    let atOnce = training.globalBatchSize / training.gradientAccumulation
    self.init(
      microbatches: training.gradientAccumulation,
      ramp: training.batchRamp.map { ($0.untilStep, $0.globalBatchSize / atOnce) })
  }

  /// Micro-batches of step `step`, counted from 1.
  package func microbatches(ofStep step: Int) -> Int {
    stages.first { step <= $0.untilStep }?.microbatches ?? microbatches
  }

  /// Micro-batches of all steps before `step`.
  package func microbatches(beforeStep step: Int) -> Int {
    var (sum, before) = (0, 0)
    for stage in stages where before < step - 1 {
      sum += (min(stage.untilStep, step - 1) - before) * stage.microbatches
      before = stage.untilStep
    }
    return sum + max(0, step - 1 - before) * microbatches
  }

  package static func == (a: BatchSchedule, b: BatchSchedule) -> Bool {
    a.microbatches == b.microbatches && a.stages.elementsEqual(b.stages, by: ==)
  }

  package func hash(into hasher: inout Hasher) {
    hasher.combine(microbatches)
    for stage in stages { hasher.combine(stage.untilStep) }
  }
}
