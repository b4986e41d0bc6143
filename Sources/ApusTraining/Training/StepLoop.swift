import ApusCommunication
import ApusCore
import ApusProgram
import ApusReport
import ApusRuntime
import Foundation

/// What one step gave and took.
package struct StepOutcome: Hashable, Sendable {
  package var loss: Double
  package var gradientNorm: Double
  package var tokens: Int
  package var seconds: Double
  package var forwardSeconds: Double
  package var backwardSeconds: Double
  package var optimizerSeconds: Double
  package var dataSeconds: Double
  /// What the step tells about the gradient's noise; nil in steps of one micro-batch and where it is not measured.
  package var noise: GradientNoise?
  /// What went over each axis of the mesh from this rank.
  package var communication: [MeshAxis: CommunicationCounters] = [:]
  /// Whether some rank has been asked to stop after this step.
  package var isStopRequested = false
  /// Whether the scaled gradients overflowed and the update was skipped.
  package var isSkipped = false
}

extension StepOutcome {
  /// The communication as a record of metrics has it: axes in their order, those with traffic; nil with one rank.
  package var communicationRecords: [StepRecord.AxisCommunication]? {
    let records = MeshAxis.allCases.compactMap { axis -> StepRecord.AxisCommunication? in
      guard let total = communication[axis]?.total, total.calls > 0 else { return nil }
      return StepRecord.AxisCommunication(
        axis: axis.rawValue, calls: total.calls, bytes: total.ringBytes, exposedSeconds: total.exposedSeconds,
        hiddenSeconds: total.hiddenSeconds)
    }
    return records.isEmpty ? nil : records
  }
}

/// A loss or norm was not finite; the step's update was not made.
package struct NonFiniteStep: Error, CustomStringConvertible, Hashable {
  package var step: Int
  package var loss: Double
  package var gradientNorm: Double
  /// Parameters whose gradient holds the first non-finite numbers.
  package var parameters: [String]

  package var description: String {
    let where_ = parameters.isEmpty ? "" : "; non-finite gradients in \(parameters.joined(separator: ", "))"
    return
      "step \(step): loss \(loss), gradient norm \(gradientNorm)\(where_); the weights were not updated: "
      + "lower the learning rate or check the data"
  }
}

/// Drives an executor through training steps: the schedule of segments, the control tensor, the gate.
///
/// Of a step's samples each replica takes every n-th micro-batch, so that n replicas together see the samples that
/// one would see.
package struct StepLoop {
  package let executor: Executor
  package let batches: BatchSchedule
  package let samplesPerMicrobatch: Int
  private let beta1, beta2: Double
  private let dropoutSeed: UInt64
  private let measuresNoise: Bool
  private let world: (any World)?

  /// - Parameters:
  ///   - batches: micro-batches of one replica.
  ///   - dropoutSeed: with step and position it says what dropout drops.
  ///   - measuresNoise: whether steps of several micro-batches also measure the norm of the first one's
  ///     gradient: one more sweep over the gradients, see `GradientPart`.
  ///   - world: the ranks that train together; nil where there is one.
  package init(
    _ executor: Executor, batches: BatchSchedule, samplesPerMicrobatch: Int, optimizer: OptimizerSettings,
    dropoutSeed: UInt64 = 0, measuresNoise: Bool = false, world: (any World)? = nil
  ) {
    self.dropoutSeed = dropoutSeed
    self.world = world
    self.executor = executor
    self.batches = batches
    self.samplesPerMicrobatch = samplesPerMicrobatch
    self.measuresNoise = measuresNoise
    (beta1, beta2) = (optimizer.beta1, optimizer.beta2)
  }

  /// Steps of the same number of micro-batches.
  package init(
    _ executor: Executor, microbatches: Int, samplesPerMicrobatch: Int, optimizer: OptimizerSettings,
    world: (any World)? = nil
  ) {
    self.init(
      executor, batches: BatchSchedule(microbatches: microbatches),
      samplesPerMicrobatch: samplesPerMicrobatch, optimizer: optimizer, world: world)
  }

  private var replicas: Int { executor.position.mesh.layout.data }

  /// The first sample of this replica's micro-batch.
  private func firstSample(step: Int, microbatch: Int) -> Int {
    let replica = executor.position.coordinate(on: .data)
    let turns = batches.microbatches(beforeStep: step) + microbatch
    return (turns * replicas + replica) * samplesPerMicrobatch
  }

  /// The tokens of a step on all replicas and whether any rank wants to stop, from this rank's.
  private func total(tokens: Int, wantsStop: Bool) throws -> (tokens: Int, isStopRequested: Bool) {
    guard let world, world.size > 1 else { return (tokens, wantsStop) }
    let sums = try world.control.allReduce(
      [Double(tokens), wantsStop ? 1 : 0], label: "tokens of the step")
    // Ranks of one replica read the same tokens.
    return (Int(sums[0]) / (world.size / replicas), sums[1] > 0)
  }

  /// Runs step `step` (counted from 1) on its samples.
  ///
  /// - Parameter scale: the loss's factor, where the program scales its loss. An overflow then skips the update
  ///   as long as a smaller factor is left; the caller records the outcome in the scale. Skipped steps do not
  ///   count in AdamW's bias corrections.
  /// - Throws: `NonFiniteStep` before anything is updated, or what the source throws.
  package func run(
    step: Int, learningRate: Double, scale: LossScale? = nil, _ source: some BatchSource
  ) throws -> StepOutcome {
    try run(step: step, learningRate: learningRate, scale: scale, source) { kind, microbatch, isLast in
      try executor.run(kind, microbatch: microbatch, isLast: isLast)
    }
  }

  /// As above; `execute` runs each segment, so that a profile can look at its instructions.
  package func run(
    step: Int, learningRate: Double, scale: LossScale? = nil, _ source: some BatchSource,
    execute: (Segment.Kind, _ microbatch: Int, _ isLast: Bool) throws -> Void
  ) throws -> StepOutcome {
    let program = executor.program
    guard let targets = program.targets, let loss = program.loss, let norm = program.gradientNorm else {
      require(false, "the program is not a training step")
      return StepOutcome(
        loss: 0, gradientNorm: 0, tokens: 0, seconds: 0, forwardSeconds: 0, backwardSeconds: 0,
        optimizerSeconds: 0, dataSeconds: 0)
    }
    let clock = Stopwatch()
    world?.status.begin(step: step)
    let before = executor.communication
    var outcome = StepOutcome(
      loss: 0, gradientNorm: 0, tokens: 0, seconds: 0, forwardSeconds: 0, backwardSeconds: 0,
      optimizerSeconds: 0, dataSeconds: 0)
    let (inputs, targetIds) = (executor.ints(program.tokens), executor.ints(targets))
    let microbatches = batches.microbatches(ofStep: step)
    var first = 0
    var small: GradientPart.Measured?
    func load(_ microbatch: Int) throws -> Int {
      try source.fill(
        inputs: inputs, targets: targetIds,
        first: firstSample(step: step, microbatch: microbatch), count: samplesPerMicrobatch)
      return targetIds.reduce(0) { $0 + ($1 >= 0 ? 1 : 0) }
    }
    // The weight of a token is known before the first forward pass: all reductions are sums. With one
    // micro-batch the tokens are read once, otherwise once for the count and once to run.
    outcome.dataSeconds += try Stopwatch.measure {
      for microbatch in 0..<microbatches {
        outcome.tokens += try load(microbatch)
        if microbatch == 0 { first = outcome.tokens }
      }
    }
    (outcome.tokens, outcome.isStopRequested) = try total(
      tokens: outcome.tokens, wantsStop: StopRequest.isPending)
    executor.set(.tokenWeight, 1 / Double(max(1, outcome.tokens)))
    executor.set(.learningRate, learningRate)
    let updates = Double(step - (scale?.skippedSteps ?? 0))
    executor.set(.correction1, 1 - pow(beta1, updates))
    executor.set(.correction2, 1 - pow(beta2, updates))
    executor.set(.lossScale, scale?.value ?? 1)
    setDropoutKey(step: step)
    for action in Schedule.accumulation(microbatches: microbatches) {
      switch action {
      case .run(let kind, let microbatch):
        if kind == .forward, microbatches > 1 {
          outcome.dataSeconds += try Stopwatch.measure { _ = try load(microbatch) }
        }
        let isLast = microbatch == microbatches - 1 || (kind != .forward && kind != .backward)
        let seconds = try Stopwatch.measure { try execute(kind, microbatch, isLast) }
        switch kind {
        case .forward: outcome.forwardSeconds += seconds
        case .backward: outcome.backwardSeconds += seconds
        default: outcome.optimizerSeconds += seconds
        }
        if measuresNoise, kind == .backward, microbatch == 0, microbatches > 1 {
          let part = GradientPart(executor, world, ownTokens: first, stepTokens: outcome.tokens)
          outcome.optimizerSeconds += try Stopwatch.measure {
            small = try part?.measure(loss, norm) { try execute(.synchronise, 0, false) }
          }
        }
      case .gate:
        outcome.loss = Double(executor.floats(loss)[0])
        outcome.gradientNorm = Double(executor.floats(norm)[0])
        guard outcome.loss.isFinite, outcome.gradientNorm.isFinite else {
          if let scale, scale.canShrink {
            outcome.isSkipped = true
            outcome.seconds = clock.seconds
            return outcome
          }
          throw NonFiniteStep(
            step: step, loss: outcome.loss, gradientNorm: outcome.gradientNorm, parameters: nonFinite())
        }
      }
    }
    outcome.noise = small.flatMap { part in
      guard part.tokens < outcome.tokens else { return nil }
      return GradientNoise(
        small: (part.tokens, part.squaredNorm), big: (outcome.tokens, pow(outcome.gradientNorm, 2)))
    }
    outcome.seconds = clock.seconds
    for (axis, counters) in executor.communication {
      outcome.communication[axis] = counters - (before[axis] ?? CommunicationCounters())
    }
    return outcome
  }

  /// Says what the step drops: the first row of this executor's batch is row 0.
  private func setDropoutKey(step: Int) {
    guard let key = executor.program.dropoutKey else { return }
    let words = executor.ints(key)
    words[DropoutKey.seedLow.rawValue] = Int32(truncatingIfNeeded: dropoutSeed)
    words[DropoutKey.seedHigh.rawValue] = Int32(truncatingIfNeeded: dropoutSeed >> 32)
    words[DropoutKey.step.rawValue] = Int32(truncatingIfNeeded: step)
    words[DropoutKey.firstRow.rawValue] = 0
  }

  /// Names of the first parameters with a gradient that is not finite.
  private func nonFinite() -> [String] {
    var names: [String] = []
    for unit in executor.program.units {
      for parameter in unit.parameters where names.count < 3 {
        guard let gradients = unit.gradients else { continue }
        let held = executor.values(unit.part(of: gradients))
        let isFinite = parameter.parts.allSatisfy { part in
          executor.boxes(of: part, parameter, unit, in: unit.part(of: gradients)).allSatisfy { box in
            box.runs(globalColumns: part.columns).allSatisfy { run in
              held[run.offset..<run.offset + run.count].allSatisfy(\.isFinite)
            }
          }
        }
        if !isFinite { names.append(parameter.name) }
      }
    }
    return names
  }
}

/// Wall-clock seconds since it was made.
package struct Stopwatch {
  private let start = DispatchTime.now().uptimeNanoseconds

  package init() {}

  package var seconds: Double { Double(DispatchTime.now().uptimeNanoseconds - start) / 1e9 }

  /// Seconds that `body` takes.
  package static func measure(_ body: () throws -> Void) rethrows -> Double {
    let watch = Stopwatch()
    try body()
    return watch.seconds
  }
}
