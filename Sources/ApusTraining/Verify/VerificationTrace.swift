import ApusCommunication
import ApusCore
import ApusModels
import ApusProgram
import ApusRuntime
import Foundation

/// What some steps under a layout leave behind, put together from all ranks: whole published tensors.
struct VerificationTrace: Sendable {
  var losses: [Double] = []
  var norms: [Double] = []
  /// Of the first step, before clipping.
  var gradients: [String: [Float]] = [:]
  /// After the first and after the last step.
  var firstWeights: [String: [Float]] = [:]
  var weights: [String: [Float]] = [:]
  /// The first copies that are not equal, or element that no rank has, if there are any.
  var inconsistency: String?
  /// The first calls or bytes of a rank that were not foreseen, or not made.
  var miscounted: String?
}

/// Runs a case on the ranks of a group.
struct VerificationRun {
  var verified: VerificationCase
  var steps = 3
  /// Changes the program before it runs: tests plant errors here.
  let alter: @Sendable (inout StepProgram, VerificationCase) -> Void

  private static let learningRate = 0.01
  /// A power of two at which nothing overflows and little vanishes in these models.
  private static let lossScale = 4_096.0
  /// Adam's epsilon is large, so that an element whose gradient is nothing but rounding moves by nothing but
  /// rounding; clipping is at work.
  private static let optimizer = OptimizerSettings(epsilon: 1e-4, maximumNorm: 0.05)

  /// What the case is recorded from.
  private var settings: TrainingProgramSettings {
    var settings = TrainingProgramSettings(
      microBatchSize: verified.microBatchSize, sequenceLength: verified.sequenceLength,
      optimizer: Self.optimizer, precision: verified.precision, layout: verified.layout,
      communication: verified.communication)
    settings.accumulates = verified.accumulation > 1
    settings.recomputation = verified.recomputation.settings(verified.model, settings)
    return settings
  }

  /// Runs the steps; all ranks of the group call it. The trace is the first rank's, the others get nil.
  func trace(on group: any Communicator) throws -> VerificationTrace? {
    let foreseen = StepProgram.training(verified.model, settings)
    var program = foreseen
    alter(&program, verified)
    let ranks = group.size == 1 ? RankGroups.single : try RankGroups(program.mesh, world: group)
    let executor = try Executor(program, threads: 1, ranks: ranks, checksMemory: false)
    // What nobody wrote would show.
    executor.poison()
    executor.initializeParameters(seed: 7)
    try executor.gatherWeights()
    let before = executor.communication
    let scale = verified.precision.scalesLoss ? Self.lossScale : 1
    executor.set(.lossScale, scale)
    var trace = VerificationTrace()
    for step in 1...steps {
      try forwardAndBackward(executor, step: step)
      try executor.run(.synchronise)
      if let loss = program.loss { trace.losses.append(Double(executor.floats(loss)[0])) }
      if let norm = program.gradientNorm { trace.norms.append(Double(executor.floats(norm)[0])) }
      if step == 1 {
        trace.gradients = try assemble(executor, group, &trace) { unit in
          unit.gradients.map { unit.part(of: $0) }
        }.mapValues { $0.map { $0 / Float(scale) } }
      }
      try executor.run(.optimizer)
      if step == 1 { trace.firstWeights = try assemble(executor, group, &trace) { $0.weightsOfRecord } }
    }
    trace.weights = try assemble(executor, group, &trace) { $0.weightsOfRecord }
    // Copies of what forward reads must agree too.
    if verified.precision.hasMasterWeights { _ = try assemble(executor, group, &trace) { $0.weights } }
    trace.miscounted = try firstProblem(countedProblem(executor, foreseen, since: before), group)
    let unrounded = try firstProblem(roundingProblem(executor), group)
    trace.inconsistency = trace.inconsistency ?? unrounded
    return group.rank == 0 ? trace : nil
  }

  private func forwardAndBackward(_ executor: Executor, step: Int) throws {
    let first = (step - 1) * verified.sequences
    let targets = (first..<first + verified.sequences).reduce(0) { sum, sequence in
      sum + tokens(sequence).targets.count { $0 >= 0 }
    }
    executor.set(.tokenWeight, 1 / Double(targets))
    executor.set(.learningRate, Self.learningRate)
    executor.set(.correction1, 1 - pow(Self.optimizer.beta1, Double(step)))
    executor.set(.correction2, 1 - pow(Self.optimizer.beta2, Double(step)))
    let replica = executor.position.coordinate(on: .data)
    for microbatch in 0..<verified.accumulation {
      let start = first + (microbatch * verified.layout.data + replica) * verified.microBatchSize
      let sequences = (start..<start + verified.microBatchSize).map(tokens)
      _ = executor.ints(executor.program.tokens).update(fromContentsOf: sequences.flatMap(\.ids))
      if let targets = executor.program.targets {
        _ = executor.ints(targets).update(fromContentsOf: sequences.flatMap(\.targets))
      }
      let isLast = microbatch == verified.accumulation - 1
      for kind in [Segment.Kind.forward, .backward] {
        try executor.run(kind, microbatch: microbatch, isLast: isLast)
      }
    }
  }

  /// Ids and targets of a sequence. Sequences have between none and all of their targets: ranks have unequal
  /// numbers of tokens.
  private func tokens(_ sequence: Int) -> (ids: [Int32], targets: [Int32]) {
    let length = verified.sequenceLength
    let ids = (0...length).map { position in
      Int32(
        (position * 7 + sequence * 5 + position * position * (sequence + 1)) % verified.model.vocabularySize)
    }
    let targets = (0..<length).map { position in
      (position + sequence) % 6 < sequence % 7 ? Int32(-1) : ids[position + 1]
    }
    return (Array(ids.dropLast()), targets)
  }

  // MARK: Whole tensors

  /// Brings a buffer of every unit together on the first rank. Copies must agree to the last bit, and every
  /// element must be somewhere; what is not so is noted.
  private func assemble(
    _ executor: Executor, _ group: any Communicator, _ trace: inout VerificationTrace,
    _ buffer: (ParameterUnit) -> Tensor?
  ) throws -> [String: [Float]] {
    var tensors: [String: [Float]] = [:]
    var problem: String?
    try WholeTensors(executor: executor, group: group).forEach(buffer) { whole in
      let name = whole.part.name
      tensors[name] = whole.values
      if let (element, rank) = whole.contradiction {
        problem = problem ?? "\(name)[\(element)]: rank \(rank) holds another number than a copy of it"
      } else if let missing = whole.missing {
        problem = problem ?? "\(name): element \(missing) is on no rank"
      }
    }
    trace.inconsistency = trace.inconsistency ?? problem
    return tensors
  }

  // MARK: What each rank checks by itself

  /// The first thing that is wrong on any rank, known to the first one.
  private func firstProblem(_ own: String?, _ group: any Communicator) throws -> String? {
    let all = try group.allGather(bytes: Array((own ?? "").utf8), label: "verified ranks")
    return all.enumerated().first { !$0.element.isEmpty }.map {
      "rank \($0.offset): \(String(decoding: $0.element, as: UTF8.self))"
    }
  }

  /// Whether the calls and bytes of the steps are those that the program foresaw, by axis and primitive.
  private func countedProblem(
    _ executor: Executor, _ foreseen: StepProgram, since before: [MeshAxis: CommunicationCounters]
  ) -> String? {
    let expected = foreseen.communication(microbatches: verified.accumulation, at: executor.position)
    for axis in MeshAxis.allCases {
      let measured = (executor.communication[axis] ?? CommunicationCounters()) - (before[axis] ?? .init())
      for kind in CollectiveKind.allCases {
        let (found, step) = (measured[kind], expected[axis]?[kind] ?? CommunicationVolume())
        guard found.calls != steps * step.calls || found.payloadBytes != steps * step.payloadBytes else {
          continue
        }
        return
          "\(found.calls) calls of \(kind.rawValue) over \(axis.rawValue) with \(found.payloadBytes) bytes "
          + "where \(steps * step.calls) with \(steps * step.payloadBytes) were foreseen"
      }
    }
    return nil
  }

  /// Whether the 16-bit weights are the rounded weights of record.
  private func roundingProblem(_ executor: Executor) -> String? {
    let masters = executor.program.units.filter { $0.master != nil }
    let found = masters.map { executor.values($0.part(of: $0.weights)).map(\.bitPattern) }
    executor.roundMasterWeights()
    for (unit, bits) in zip(masters, found)
    where executor.values(unit.part(of: unit.weights)).map(\.bitPattern) != bits {
      return "\(unit.name): the 16-bit weights are not the rounded weights of record"
    }
    return nil
  }
}
