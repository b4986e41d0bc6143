import ApusCore
import ApusForesight

/// How much longer steps take now than a machine's description says, by some models of the grid that take turns: a
/// machine that others share does not keep its speed, and under load it falls.
struct SpeedProbe {
  private let trials: [CalibrationTrial]
  /// Seconds that the description gives each trial's step.
  private let foreseen: [Double]
  private let place: RankPlace
  private var round = 0
  /// Of each trial's steps.
  private var seconds: [[Double]]

  /// Points of the grid that are run: of different sizes, a fifth of a second in all.
  private static let points = [1, 3, 4, 5, 6]

  /// All ranks of `place` make a probe at the same time. Nil where the description lacks a kind of instruction.
  init?(
    beside sharing: MeasuredProcessor.Sharing, _ subject: CalibrationGrid.Subject, place: RankPlace
  ) throws {
    trials = try Self.points.map { try CalibrationTrial($0, subject, threads: sharing.threads, place) }
    let known = trials.compactMap { $0.work(cacheBytes: sharing.cacheBytes).seconds(sharing) }
    guard known.count == trials.count else { return nil }
    foreseen = known
    self.place = place
    seconds = trials.map { _ in [] }
  }

  /// One step of each trial, on all ranks.
  mutating func run() throws {
    round += 1
    for index in trials.indices { seconds[index].append(try trials[index].wholeStep(round)) }
  }

  /// As many steps on all ranks as take so long.
  mutating func run(seconds end: Double) throws {
    let clock = Stopwatch()
    repeat {
      try run()
    } while try place.world.control.allReduce(
      [clock.seconds], .maximum, label: "the machine's speed")[0] < end
  }

  /// Forgets what was measured.
  mutating func clear() { seconds = trials.map { _ in [] } }

  /// The median over the trials of measured over foreseen, each the median of its steps; nil before the first step.
  var slowness: Double? {
    let ratios = zip(seconds, foreseen).compactMap { measured, foreseen in
      measured.isEmpty ? nil : measured.sorted()[measured.count / 2] / foreseen
    }
    return ratios.isEmpty ? nil : ratios.sorted()[ratios.count / 2]
  }
}

/// The machine's speed between the steps of a run.
struct RunProbe {
  private var probe: SpeedProbe
  /// Steps from one look to the next, the same on all ranks: about a second.
  private let interval: Int

  init(_ probe: SpeedProbe, every interval: Int) {
    self.probe = probe
    self.interval = interval
  }

  /// Behind each step, on all ranks.
  mutating func follow(step: Int) throws {
    if step.isMultiple(of: interval) { try probe.run() }
  }

  var slowness: Double? { probe.slowness }
}
