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
  private let subjects: [CalibrationGrid.Subject]
  /// What was timed of each subject's points: seconds of each instruction, and of whole steps, a row a step.
  private struct Times {
    var instructions: [[Double]] = []
    var whole: [Double] = []
  }
  private var times: [[Times]]
  /// Of each subject's points, each instruction's work under each size of cache.
  private var works: [[[[InstructionWork]]]]

  /// Sizes among which the measured cache is chosen.
  private static let cacheSizes = [1, 2, 4, 8, 16, 32].map { $0 << 20 }

  /// Measures the machine for programs like the subjects'; all ranks of `place` call it. Takes about four seconds a
  /// subject and pass. Gives the first rank's curves.
  ///
  /// - Parameter passes: times that all of it is run. A machine that others share changes its speed within seconds, and
  ///   so each point is measured in several of its moods.
  package static func measure(
    _ subjects: [CalibrationGrid.Subject], threads: Int, place: RankPlace = .alone(), passes: Int = 3
  ) throws -> MeasuredProcessor.Sharing {
    var calibration = MachineCalibration(subjects, threads: threads, place: place)
    for _ in 0..<passes { try calibration.pass() }
    return calibration.sharing
  }

  private init(_ subjects: [CalibrationGrid.Subject], threads: Int, place: RankPlace) {
    self.subjects = subjects
    self.threads = threads
    self.place = place
    times = subjects.map { _ in CalibrationGrid.points.map { _ in Times() } }
    works = subjects.map { _ in CalibrationGrid.points.map { _ in [] } }
  }

  /// Runs every point of every subject: steps that are timed instruction by instruction and steps that are timed whole,
  /// in turn, after one of each to warm up. The points of a subject take turns.
  private mutating func pass() throws {
    for (number, subject) in subjects.enumerated() {
      let trials = try CalibrationGrid.points.indices.map {
        try CalibrationTrial($0, subject, threads: threads, place)
      }
      let rounds = CalibrationGrid.points.map(\.steps).max() ?? 0
      for round in 0...rounds {
        for (index, trial) in trials.enumerated() where round <= trial.point.steps {
          let seconds = try trial.instructions(2 * round + 1)
          let outcome = try trial.wholeStep(2 * round + 2)
          guard round > 0 else { continue }
          times[number][index].instructions.append(seconds)
          times[number][index].whole.append(outcome)
        }
      }
      for (index, trial) in trials.enumerated() where works[number][index].isEmpty {
        let planned = Self.cacheSizes.map { trial.work(cacheBytes: $0).entries.map(\.work) }
        let ran = times[number][index].instructions[0].count
        require(
          planned[0].count == ran, "calibration: \(ran) instructions ran, \(planned[0].count) are planned")
        works[number][index] = planned
      }
    }
  }

  /// An instruction of a step, its work under each size of cache, and how long it took.
  private struct Timed {
    let works: [InstructionWork]
    let seconds: Double
  }

  /// The medians: of each instruction, and of whole steps beside the sum of their instructions.
  private var medians: (timed: [Timed], steps: [MeasuredCurve.Sample]) {
    var timed: [Timed] = []
    var steps: [MeasuredCurve.Sample] = []
    for (times, works) in zip(times.joined(), works.joined()) {
      var inside = 0.0
      for position in works[0].indices {
        let seconds = median(times.instructions.map { $0[position] })
        inside += seconds
        timed.append(Timed(works: works.map { $0[position] }, seconds: seconds))
      }
      steps.append(MeasuredCurve.Sample([1, inside], seconds: median(times.whole)))
    }
    return (timed, steps)
  }

  private func median(_ values: [Double]) -> Double { values.sorted()[values.count / 2] }

  /// The curves under the cache that explains the times best.
  private var sharing: MeasuredProcessor.Sharing {
    let (timed, steps) = medians
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
