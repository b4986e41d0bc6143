import ApusConfiguration
import ApusTraining
import Testing

@Suite struct LearningRateTests {
  private func rate(_ schedule: TrainingSection.Schedule) -> LearningRate {
    var training = TrainingSection(
      steps: 110, sequenceLength: 8, microBatchSize: 1, gradientAccumulation: 1, globalBatchSize: 1)
    training.learningRate = 1
    training.minimumLearningRate = 0.1
    training.warmupSteps = 10
    training.schedule = schedule
    return LearningRate(training)
  }

  @Test func warmUpRisesInAStraightLine() {
    #expect(rate(.cosine).value(step: 1) == 0.1)
    #expect(rate(.cosine).value(step: 10) == 1)
  }

  @Test(arguments: [TrainingSection.Schedule.cosine, .linear])
  func decayEndsAtTheMinimum(_ schedule: TrainingSection.Schedule) {
    #expect(abs(rate(schedule).value(step: 110) - 0.1) < 1e-12)
    #expect(abs(rate(schedule).value(step: 60) - 0.55) < 1e-12)
  }

  @Test func constantStaysAtThePeak() {
    #expect(rate(.constant).value(step: 110) == 1)
  }
}
