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
}

/// Runs a case on the ranks of a group.
struct VerificationRun {
  let verified: VerificationCase
  /// Changes the program before it runs: tests plant errors here.
  let alter: @Sendable (inout StepProgram) -> Void

  private static let steps = 3
  private static let learningRate = 0.01
  /// Adam's epsilon is large, so that an element whose gradient is nothing but rounding moves by nothing but
  /// rounding; clipping is at work.
  private static let optimizer = OptimizerSettings(epsilon: 1e-4, maximumNorm: 0.05)

  var program: StepProgram {
    var program = StepProgram.training(
      verified.model,
      TrainingProgramSettings(
        microBatchSize: verified.microBatchSize, sequenceLength: VerificationCase.sequenceLength,
        optimizer: Self.optimizer, recomputation: .uniform(verified.recomputation), layout: verified.layout,
        communication: verified.communication))
    alter(&program)
    return program
  }

  /// Runs the steps; all ranks of the group call it. The trace is the first rank's, the others get nil.
  func trace(on group: any Communicator) throws -> VerificationTrace? {
    let program = program
    let ranks = group.size == 1 ? RankGroups.single : try RankGroups(program.mesh, world: group)
    let executor = try Executor(program, threads: 1, ranks: ranks, checksMemory: false)
    // What nobody wrote would show.
    executor.poison()
    executor.initializeParameters(seed: 7)
    try executor.gatherWeights()
    var trace = VerificationTrace()
    for step in 1...Self.steps {
      try forwardAndBackward(executor, step: step)
      try executor.run(.synchronise)
      if let loss = program.loss { trace.losses.append(Double(executor.floats(loss)[0])) }
      if let norm = program.gradientNorm { trace.norms.append(Double(executor.floats(norm)[0])) }
      if step == 1 {
        trace.gradients =
          try assemble(executor, group, &trace) { unit in unit.gradients.map { unit.part(of: $0) } } ?? [:]
      }
      try executor.run(.optimizer)
      if step == 1 { trace.firstWeights = try assemble(executor, group, &trace) { $0.weights } ?? [:] }
    }
    trace.weights = try assemble(executor, group, &trace) { $0.weights } ?? [:]
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
    let length = VerificationCase.sequenceLength
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

  /// Brings a buffer of every unit together on the first rank: whole tensors by published name. Copies must agree
  /// to the last bit, and every element must be somewhere; what is not so is noted.
  private func assemble(
    _ executor: Executor, _ group: any Communicator, _ trace: inout VerificationTrace,
    _ buffer: (ParameterUnit) -> Tensor?
  ) throws -> [String: [Float]]? {
    var own: [Float] = []
    for held in runs(executor.program, executor.position, buffer) {
      let range = held.offset..<held.offset + held.count
      own += executor.floats(held.buffer)[range]
    }
    let bytes = own.withUnsafeBytes { Array($0) }
    let all = try group.allGather(bytes: bytes, label: "verified tensors")
    guard group.rank == 0 else { return nil }
    var whole: [String: WholeTensor] = [:]
    for (rank, bytes) in all.enumerated() {
      let values = bytes.withUnsafeBytes { Array($0.bindMemory(to: Float.self)) }
      var next = 0
      for held in runs(executor.program, MeshPosition(executor.program.mesh, rank: rank), buffer) {
        let tensor = whole[held.part.name] ?? WholeTensor(count: held.part.count)
        whole[held.part.name] = tensor
        if let index = tensor.put(values[next..<next + held.count], at: held.global) {
          trace.inconsistency =
            trace.inconsistency
            ?? "\(held.part.name)[\(index)]: rank \(rank) holds another number than a copy of it"
        }
        next += held.count
      }
    }
    for (name, tensor) in whole.sorted(by: { $0.key < $1.key }) {
      if let missing = tensor.isThere.firstIndex(of: false) {
        trace.inconsistency = trace.inconsistency ?? "\(name): element \(missing) is on no rank"
      }
    }
    return whole.mapValues(\.values)
  }

  /// The runs of published tensors that a rank holds in a buffer, in a fixed order.
  private func runs(
    _ program: StepProgram, _ position: MeshPosition, _ buffer: (ParameterUnit) -> Tensor?
  ) -> [(part: ExchangePart, buffer: Tensor, global: Int, offset: Int, count: Int)] {
    program.units.flatMap {
      unit -> [(part: ExchangePart, buffer: Tensor, global: Int, offset: Int, count: Int)] in
      guard let tensor = buffer(unit) else { return [] }
      let held = unit.range(of: tensor, at: position)
      return unit.parameters.flatMap { parameter in
        parameter.parts.flatMap { part in
          parameter.boxes(of: part, at: position).flatMap { $0.intersection(held) }.flatMap { box in
            box.runs(globalColumns: part.columns).map {
              (part, tensor, $0.global, $0.offset - held.lowerBound, $0.count)
            }
          }
        }
      }
    }
  }
}

/// A published tensor that is being put together.
private final class WholeTensor {
  private(set) var values: [Float]
  private(set) var isThere: [Bool]

  init(count: Int) {
    values = Array(repeating: 0, count: count)
    isThere = Array(repeating: false, count: count)
  }

  /// Puts a run in its place; the index of the first element that contradicts a copy, if one does.
  func put(_ run: ArraySlice<Float>, at start: Int) -> Int? {
    for (index, value) in zip(start..., run) {
      if isThere[index], values[index].bitPattern != value.bitPattern { return index }
      values[index] = value
      isThere[index] = true
    }
    return nil
  }
}
