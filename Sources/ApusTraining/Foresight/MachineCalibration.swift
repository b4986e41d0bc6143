import ApusCommunication
import ApusCore
import ApusForesight
import ApusModels
import ApusProgram
import ApusRuntime

/// Measures how long this machine takes for each kind of instruction: the grid's small models run, every instruction
/// is timed, and a curve is fitted to each kind.
///
/// With several ranks all run at the same time, as they will in training, so that what they share (memory bandwidth,
/// caches) and what they wait for each other is in the curves.
package struct MachineCalibration {
  private let threads: Int
  private let place: RankPlace
  /// An instruction of a step, its work under each size of cache, and how long it took.
  private struct Timed {
    let works: [InstructionWork]
    let seconds: Double
  }
  private var timed: [Timed] = []
  /// Whole steps beside the sum of their instructions' medians, seconds.
  private var steps: [MeasuredCurve.Sample] = []

  /// Sizes among which the measured cache is chosen.
  private static let cacheSizes = [1, 2, 4, 8, 16, 32].map { $0 << 20 }

  /// Measures the machine for programs like the subjects'; all ranks of `place` call it. Takes one to three seconds a
  /// subject. Gives the first rank's curves.
  package static func measure(
    _ subjects: [CalibrationGrid.Subject], threads: Int, place: RankPlace = .alone()
  ) throws -> MeasuredProcessor.Sharing {
    var calibration = MachineCalibration(threads: threads, place: place)
    for subject in subjects {
      for index in CalibrationGrid.points.indices { try calibration.run(index, subject) }
    }
    return calibration.sharing
  }

  private init(threads: Int, place: RankPlace) {
    self.threads = threads
    self.place = place
  }

  /// A model of the grid ready to run.
  private struct Trial {
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

  /// How much longer steps take now than a description says, by the median over some models of the grid: a machine
  /// that others share does not keep its speed, and under load it falls. Takes about three seconds, of which the first
  /// only loads the machine, and the models take turns, so that a short disturbance meets few steps of each; all ranks of `place` call it. Gives 1 where the description lacks a kind of instruction.
  package static func slowness(
    beside sharing: MeasuredProcessor.Sharing, _ subject: CalibrationGrid.Subject, place: RankPlace = .alone()
  ) throws -> Double {
    let trials = try [1, 3, 4, 5, 6].map { try Trial($0, subject, threads: sharing.threads, place) }
    let clock = Stopwatch()
    var round = 0
    /// Rounds until so much time has passed, as many on all ranks. Gives the seconds of each trial's steps.
    func steps(until end: Double) throws -> [[Double]] {
      var seconds: [[Double]] = trials.map { _ in [] }
      repeat {
        round += 1
        for index in trials.indices { seconds[index].append(try trials[index].wholeStep(round)) }
      } while try place.world.control.allReduce([clock.seconds], .maximum, label: "the machine's speed")[0] < end
      return seconds
    }
    _ = try steps(until: 1)
    var ratios: [Double] = []
    for (trial, seconds) in zip(trials, try steps(until: 3)) {
      if let foreseen = trial.work(cacheBytes: sharing.cacheBytes).seconds(sharing) {
        ratios.append(seconds.sorted()[seconds.count / 2] / foreseen)
      }
    }
    return ratios.isEmpty ? 1 : ratios.sorted()[ratios.count / 2]
  }

  /// Runs a point: steps that are timed instruction by instruction and steps that are timed whole, in turn, after one
  /// of each to warm up.
  private mutating func run(_ index: Int, _ subject: CalibrationGrid.Subject) throws {
    let trial = try Trial(index, subject, threads: threads, place)
    var times: [[Double]] = []
    var whole: [Double] = []
    for step in 0...trial.point.steps {
      let seconds = try trial.instructions(2 * step + 1)
      let outcome = try trial.wholeStep(2 * step + 2)
      guard step > 0 else { continue }
      times.append(seconds)
      whole.append(outcome)
    }
    let works = Self.cacheSizes.map { trial.work(cacheBytes: $0).entries }
    require(
      works[0].count == times[0].count,
      "calibration: \(times[0].count) instructions ran, \(works[0].count) are planned")
    var inside = 0.0
    for position in works[0].indices {
      let seconds = median(times.map { $0[position] })
      inside += seconds
      timed.append(Timed(works: works.map { $0[position].work }, seconds: seconds))
    }
    steps.append(MeasuredCurve.Sample([1, inside], seconds: median(whole)))
  }

  private func median(_ values: [Double]) -> Double { values.sorted()[values.count / 2] }

  /// The curves under the cache that explains the times best.
  private var sharing: MeasuredProcessor.Sharing {
    // A step takes longer than the medians of its instructions: something always interrupts one of them.
    let step = MeasuredCurve(fitting: steps).factors
    var best: (error: Double, cache: Int, curves: [String: MeasuredCurve])?
    for (size, cache) in Self.cacheSizes.enumerated() {
      let kinds = Dictionary(grouping: timed) { $0.works[size].kind }
      let curves = kinds.mapValues { list in
        MeasuredCurve(
          fitting: list.map { MeasuredCurve.Sample($0.works[size].values, seconds: $0.seconds) })
      }
      // Weighed by time: what a step spends longest on has to be right.
      let error = timed.reduce(0.0) { sum, one in
        let work = one.works[size]
        return sum + abs((curves[work.kind]?.seconds(work.values) ?? 0) - one.seconds)
      }
      if best == nil || error < (best?.error ?? 0) { best = (error, cache, curves) }
    }
    let curves = (best?.curves ?? [:]).mapValues { MeasuredCurve(factors: $0.factors.map { $0 * step[1] }) }
    return MeasuredProcessor.Sharing(
      ranks: place.world.size, threads: threads, cacheBytes: best?.cache ?? 0, stepSeconds: step[0],
      curves: curves)
  }
}
