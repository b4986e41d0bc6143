import ApusCommunication
import ApusCore
import ApusForesight
import ApusModels
import ApusProgram
import ApusRuntime

/// A model of the grid ready to run.
struct CalibrationTrial {
  let point: CalibrationGrid.Point
  let executor: Executor
  let loop: StepLoop
  let source: MadeUpTokens
  let scale: LossScale?

  init(_ index: Int, _ subject: CalibrationGrid.Subject, threads: Int, _ place: RankPlace) throws {
    let (point, model, settings) = CalibrationGrid.program(index, subject)
    let program = StepProgram.training(model, settings)
    executor = try Executor(program, threads: threads, ranks: place.groups(program.mesh))
    executor.initializeParameters(seed: 1)
    try executor.gatherWeights()
    loop = StepLoop(
      executor, microbatches: point.microbatches, samplesPerMicrobatch: point.batch,
      optimizer: settings.optimizer, world: place.world)
    source = MadeUpTokens(vocabularySize: model.vocabularySize, sequenceLength: point.sequence)
    scale = LossScale.withoutSkips(settings.precision)
    self.point = point
  }

  /// Seconds of a whole step.
  func wholeStep(_ step: Int) throws -> Double {
    try loop.run(step: step, learningRate: 1e-4, scale: scale, source).seconds
  }

  /// Seconds of each instruction of a step.
  func instructions(_ step: Int) throws -> [Double] {
    var seconds: [Double] = []
    _ = try loop.run(step: step, learningRate: 1e-4, scale: scale, source) { kind, microbatch, isLast in
      try executor.run(kind, microbatch: microbatch, isLast: isLast) { seconds.append($0.seconds) }
    }
    return seconds
  }

  func work(cacheBytes: Int) -> StepWork {
    StepWork(
      executor.program, executor.plan, microbatches: point.microbatches, at: executor.position,
      cacheBytes: cacheBytes)
  }
}
