import ApusConfiguration
import ApusCore
import ApusForesight
import ApusModels
import ApusProgram
import ApusRuntime

/// What is known of a run's step before the first one: from its program, and from a machine that was measured on other
/// models.
package struct StepForesight: Codable, Hashable, Sendable {
  /// Nil where nothing says how fast the machine is; `reason` then says why.
  package var stepSeconds: Double?
  package var reason: String?
  /// How much longer steps took just before the run than the machine's description says; `stepSeconds` has it in it.
  /// Nil where the machine was not described beforehand.
  package var slowness: Double?
  /// The plan of one rank.
  package var arenaBytes: Int
  /// Bytes that a rank sends in a step, by axis: counted from the program.
  package var sentBytes: [String: Double]

  /// Where the machine's speed comes from.
  package enum Source: Sendable {
    /// Nothing is said of time.
    case nothing
    /// It is measured before the run, which takes some seconds.
    case measurement
    /// A description holds it. With `probes` its speed is measured between the run's steps too.
    case description(MeasuredProcessor, probes: Bool)
  }

  /// What fixes a rank's step of training beside its program.
  package struct Step {
    package var microbatches: Int
    package var threads: Int

    package init(microbatches: Int, threads: Int) {
      self.microbatches = microbatches
      self.threads = threads
    }
  }

  /// Foresees the step of a program.
  ///
  /// - Parameter processor: the machine as it was measured; nil gives everything but the time.
  package init(
    _ program: StepProgram, _ plan: MemoryPlan, _ step: Step, at position: MeshPosition,
    _ processor: MeasuredProcessor?
  ) {
    arenaBytes = plan.totalBytes
    sentBytes = [:]
    for (axis, kinds) in program.communication(microbatches: step.microbatches, at: position) {
      sentBytes[axis.rawValue] = kinds.values.reduce(0) { $0 + $1.ringBytes }
    }
    // Training also measures the norm of the first micro-batch's gradient (`GradientPart`).
    let measuresNoise = step.microbatches > 1 && program.mesh.layout.hasGradientOfFirstMicrobatch
    for instruction in measuresNoise ? program.segment(.synchronise)?.instructions ?? [] : []
    where instruction.condition.holds(isLast: false) {
      guard let (axis, _, volume) = instruction.communication(at: position) else { continue }
      sentBytes[axis.rawValue, default: 0] += volume.ringBytes
    }
    guard let processor else { return }
    let ranks = program.mesh.layout.worldSize
    guard let sharing = processor.sharing(ranks: ranks, threads: step.threads) else {
      reason =
        "the description was measured with \(processor.sharings.map(\.name).joined(separator: " and ")) ranks x "
        + "threads, not with \(ranks)x\(step.threads)"
      return
    }
    let work = StepWork(
      program, plan, microbatches: step.microbatches, at: position, cacheBytes: sharing.cacheBytes,
      measuresNoise: measuresNoise)
    stepSeconds = work.seconds(sharing)
    if stepSeconds == nil {
      reason = "not measured: \(work.unknownKinds(sharing).joined(separator: ", "))"
    }
  }

  /// Seconds in which a machine under load finds its speed, and those that its speed is then measured.
  private static let (warmUp, probing) = (1.0, 2.0)

  /// Before a run's first step, on all of its ranks.
  ///
  /// - Returns: what is foreseen, and what measures the machine's speed during the run where that is wanted.
  static func make(
    _ source: Source, _ setup: TrainingSetup
  ) throws -> (foresight: StepForesight, probe: RunProbe?) {
    let (program, place) = (setup.executor.program, setup.place)
    var processor: MeasuredProcessor?
    var reason: String?
    switch source {
    case .nothing: break
    case .description(let known, _):
      if place.isAlone || place.world.isOneProcess {
        processor = known
      } else {
        reason = "the description was measured with ranks that are threads of one process"
      }
    case .measurement:
      if CalibrationGrid.canDivide(over: program.mesh.layout) {
        let subject = CalibrationGrid.Subject(like: setup.model, setup.settings)
        processor = MeasuredProcessor([
          try MachineCalibration.measure([subject], threads: setup.threads, place: place, passes: 2)
        ])
      } else {
        reason = "the models for measuring can be divided over 2, 4, 8 or 16 tensor ranks only"
      }
    }
    let training = setup.configuration.training
    var foresight = StepForesight(
      program, setup.executor.plan,
      Step(microbatches: training.gradientAccumulation, threads: setup.threads),
      at: setup.executor.position, processor)
    foresight.reason = foresight.reason ?? reason
    // A description is older than the run: what the machine gives at this moment is measured beside it.
    guard case .description(_, let probes) = source, let seconds = foresight.stepSeconds,
      CalibrationGrid.canDivide(over: program.mesh.layout),
      let sharing = processor?.sharing(ranks: program.mesh.layout.worldSize, threads: setup.threads),
      var probe = try SpeedProbe(
        beside: sharing, CalibrationGrid.Subject(like: setup.model, setup.settings), place: place)
    else { return (foresight, nil) }
    try probe.run(seconds: Self.warmUp)
    probe.clear()
    try probe.run(seconds: Self.probing)
    if let slowness = probe.slowness {
      foresight.slowness = slowness
      foresight.stepSeconds = seconds * slowness
    }
    guard probes else { return (foresight, nil) }
    probe.clear()
    return (foresight, RunProbe(probe, every: max(1, Int((1 / seconds).rounded(.up)))))
  }
}

/// What a run's steps were: the same figures as `StepForesight`, measured.
package struct StepMeasurement: Codable, Hashable, Sendable {
  /// Median over the steps after the first ones and the first second.
  package var stepSeconds: Double
  /// End of the last byte of the arena that was touched.
  package var arenaBytes: Int
  /// The whole process at its peak.
  package var residentBytes: Int
  /// Bytes that this rank's communicators sent in the last step, by axis.
  package var sentBytes: [String: Double]
  /// How much longer steps of other models took between the run's own than the machine's description says; nil where
  /// that was not measured.
  package var slowness: Double?
}

/// A step foreseen and measured.
package struct StepComparison: Codable, Hashable, Sendable {
  package var foreseen: StepForesight
  /// Absent until the run has ended.
  package var measured: StepMeasurement?

  /// Predicted over measured time, minus 1; nil where one of them is missing.
  package var error: Double? {
    guard let seconds = foreseen.stepSeconds, let measured else { return nil }
    return seconds / measured.stepSeconds - 1
  }

  /// What was foreseen, at the speed that the machine had between the run's steps instead of the one before them,
  /// seconds; nil where that was not measured.
  package var foreseenAtSpeed: Double? {
    guard let seconds = foreseen.stepSeconds, let before = foreseen.slowness, let during = measured?.slowness
    else { return nil }
    return seconds / before * during
  }
}

/// The times of a run's steps, of which the median after the first ones counts.
struct StepTimes {
  /// Steps that touch pages for the first time.
  private static let firstSteps = 3
  /// Seconds until a loaded machine has found its speed. Left out where at least `enough` steps remain.
  private static let settling = 1.0
  private static let enough = 10
  private var seconds: [Double] = []

  mutating func add(_ step: Double) { seconds.append(step) }

  /// Nil before the first step.
  var median: Double? {
    var steady = seconds.count > Self.firstSteps ? seconds.dropFirst(Self.firstSteps) : seconds[...]
    var passed = 0.0
    while passed < Self.settling, steady.count > Self.enough { passed += steady.removeFirst() }
    let sorted = steady.sorted()
    return sorted.isEmpty ? nil : sorted[sorted.count / 2]
  }
}
