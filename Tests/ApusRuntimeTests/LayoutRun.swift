import ApusCommunication
import ApusCore
import ApusModels
import ApusProgram
import ApusRuntime

/// Some steps of a small model under a layout, ranks as threads, and what they leave behind: whole published
/// tensors, put together from the ranks' parts.
struct LayoutRun {
  /// A global batch that every layout divides in its own way.
  struct Job {
    var model: ModelConfiguration
    var sequences = 12
    var sequenceLength = 8
    var steps = 3
    var recomputation = RecomputationSettings.none
    var precision = PrecisionPolicy.fp32
    var dropout = 0.0
    var communication = CommunicationPolicy(bucketByteCount: 2000)
    /// Chunks of layers on each device of a pipeline.
    var chunks = 1

    /// Ids and targets of a sequence of the whole run; sequences have different numbers of targets.
    func tokens(_ sequence: Int) -> (ids: [Int32], targets: [Int32]) {
      let ids = (0...sequenceLength).map { position in
        Int32((position * 7 + sequence * 5 + position * position * (sequence + 1)) % model.vocabularySize)
      }
      let targets = (0..<sequenceLength).map { position in
        (position + sequence) % 5 < sequence % 4 ? Int32(-1) : ids[position + 1]
      }
      return (Array(ids.dropLast()), targets)
    }

    func targetCount(step: Int) -> Int {
      (0..<sequences).reduce(0) { sum, sequence in
        sum + tokens(step * sequences + sequence).targets.count { $0 >= 0 }
      }
    }
  }

  /// One rank's part of a published tensor.
  struct Piece: Sendable {
    var name: String
    var shape: [Int]
    var index: Int
    var values: [Double]
  }

  struct RankResult: Sendable {
    var losses: [Double] = []
    var norms: [Double] = []
    var gradients: [Piece] = []
    var weights: [Piece] = []
    var counters: [MeshAxis: CommunicationCounters] = [:]
    var plannedBytes = 0
    var highWater = 0
  }

  var losses: [Double]
  var norms: [Double]
  var gradients: [String: [Double]]
  var weights: [String: [Double]]
  var ranks: [RankResult]
  /// The program of the first rank, and those of all devices of the pipeline.
  var program: StepProgram
  var stages: [StepProgram]

  /// - Parameters:
  ///   - microbatches: of each replica in a step.
  ///   - audited: whether each instruction's writes are checked.
  ///   - alter: changes the program before it runs, to plant an error.
  init(
    _ job: Job, _ layout: ParallelLayout, microbatches: Int = 1, inDouble: Bool = false,
    audited: Bool = false,
    alter: (inout StepProgram) -> Void = { _ in }
  ) throws {
    guard job.sequences.isMultiple(of: layout.data * microbatches) else {
      throw Mismatch(description: "\(job.sequences) sequences for \(layout.data) x \(microbatches)")
    }
    var settings = TrainingProgramSettings(
      microBatchSize: job.sequences / (layout.data * microbatches), sequenceLength: job.sequenceLength,
      optimizer: OptimizerSettings(epsilon: 1e-4, maximumNorm: 0.05), recomputation: job.recomputation,
      precision: job.precision, layout: layout, communication: job.communication)
    settings.dropout = job.dropout
    let recorded = (0..<layout.pipeline).map { device in
      settings.pipeline = PipelinePlace(device: device, chunks: job.chunks)
      var program = StepProgram.training(job.model, settings)
      alter(&program)
      return program
    }
    ranks = try LocalRanks.run(layout.worldSize, stallLimit: 20) { world in
      let groups = try RankGroups(recorded[0].mesh, world: world.data)
      let recorded = recorded[groups.position.coordinate(on: .pipeline)]
      return inDouble
        ? try Self.run(job, InterpretedRank(recorded, groups), microbatches)
        : try Self.run(job, ExecutedRank(recorded, groups, audited: audited), microbatches)
    }
    (program, stages) = (recorded[0], recorded)
    (losses, norms) = (ranks[0].losses, ranks[0].norms)
    gradients = try Self.assemble(ranks.map(\.gradients))
    weights = try Self.assemble(ranks.map(\.weights))
  }

  private static func run(_ job: Job, _ rank: some RunningRank, _ microbatches: Int) throws -> RankResult {
    let (program, position) = (rank.program, rank.position)
    var result = RankResult()
    rank.fillParameters()
    let replica = position.coordinate(on: .data)
    let perMicrobatch = job.sequences / (program.mesh.layout.data * microbatches)
    for step in 0..<job.steps {
      rank.set(.learningRate, 0.01)
      rank.set(.correction1, 1 - power(0.9, step + 1))
      rank.set(.correction2, 1 - power(0.95, step + 1))
      rank.set(.tokenWeight, 1 / Double(job.targetCount(step: step)))
      rank.set(.lossScale, 1)
      rank.setDropoutKey(seed: 5, step: step + 1)
      for microbatch in 0..<microbatches {
        let first =
          step * job.sequences + (microbatch * program.mesh.layout.data + replica) * perMicrobatch
        let sequences = (first..<first + perMicrobatch).map(job.tokens)
        // A context rank takes its tokens of each sequence.
        let places =
          SequenceSlice(program.mesh, sequenceLength: job.sequenceLength)?
          .places(ofRank: position.coordinate(on: .context)) ?? Array(0..<job.sequenceLength)
        rank.load(
          sequences.flatMap { sequence in places.map { sequence.ids[$0] } },
          sequences.flatMap { sequence in places.map { sequence.targets[$0] } })
        // Chunks of layers go forward in their order and backward in the reverse, as the program has them.
        for segment in program.groups[0] {
          try rank.run(
            segment.kind, chunk: segment.chunk, microbatch: microbatch,
            isLast: microbatch == microbatches - 1)
        }
      }
      try rank.run(.synchronise, chunk: 0, microbatch: 0, isLast: true)
      result.losses.append(rank.value(program.loss!))
      result.norms.append(rank.value(program.gradientNorm!))
      if step == 0 { result.gradients = rank.pieces { $0.part(of: $0.gradients!) } }
      try rank.run(.optimizer, chunk: 0, microbatch: 0, isLast: true)
    }
    result.weights = rank.pieces { $0.weightsOfRecord }
    rank.finish(&result)
    return result
  }

  private static func power(_ x: Double, _ n: Int) -> Double { (0..<n).reduce(1) { y, _ in y * x } }

  struct Mismatch: Error, CustomStringConvertible {
    var description: String
  }

  /// Whole tensors. Copies must agree to the last bit; every element must be somewhere.
  private static func assemble(_ ranks: [[Piece]]) throws -> [String: [Double]] {
    var whole: [String: [Double]] = [:]
    var found: [String: [Bool]] = [:]
    for (rank, pieces) in ranks.enumerated() {
      for piece in pieces {
        let count = piece.shape.reduce(1, *)
        if whole[piece.name] == nil {
          whole[piece.name] = Array(repeating: 0, count: count)
          found[piece.name] = Array(repeating: false, count: count)
        }
        for (offset, value) in piece.values.enumerated() {
          let index = piece.index + offset
          if found[piece.name]![index], whole[piece.name]![index] != value {
            throw Mismatch(
              description:
                "\(piece.name)[\(index)]: rank \(rank) has \(value), a copy \(whole[piece.name]![index])")
          }
          whole[piece.name]![index] = value
          found[piece.name]![index] = true
        }
      }
    }
    for (name, found) in found where found.contains(false) {
      throw Mismatch(description: "\(name): element \(found.firstIndex(of: false)!) is nowhere")
    }
    return whole
  }

  /// The largest error of a tensor, as the norm of the difference over the norm.
  static func error(_ a: [String: [Double]], _ b: [String: [Double]]) -> (name: String, value: Double) {
    var worst = (name: "", value: a.count == b.count ? 0 : Double.infinity)
    for (name, x) in a {
      guard let y = b[name], x.count == y.count else { return (name, .infinity) }
      var (difference, norm) = (0.0, 1e-12)
      for (p, q) in zip(x, y) {
        difference += (p - q) * (p - q)
        norm += q * q
      }
      let value = (difference / norm).squareRoot()
      if !(value <= worst.value) { worst = (name, value) }
    }
    return worst
  }
}

/// One rank, whoever computes.
protocol RunningRank {
  var program: StepProgram { get }
  var position: MeshPosition { get }
  func run(_ kind: Segment.Kind, chunk: Int, microbatch: Int, isLast: Bool) throws
  func set(_ field: Control, _ value: Double)
  func load(_ ids: [Int32], _ targets: [Int32])
  func setDropoutKey(seed: Int32, step: Int)
  func value(_ tensor: Tensor) -> Double
  func read(_ tensor: Tensor, _ range: Range<Int>) -> [Double]
  func write(_ values: [Double], _ tensor: Tensor, from first: Int)
  func finish(_ result: inout LayoutRun.RankResult)
}

extension RunningRank {
  /// Start values by published name and index in the whole tensor, padding and states zero.
  func fillParameters() {
    for unit in program.units {
      for buffer in [unit.gradients, unit.firstMoment, unit.secondMoment].compactMap({ $0 }) {
        write(Array(repeating: 0, count: buffer.count), buffer, from: 0)
      }
      for buffer in [unit.weights, unit.master].compactMap({ $0 }) {
        write(Array(repeating: 0, count: buffer.count), buffer, from: 0)
        forEachRun(unit, buffer) { parameter, part, run in
          let key = part.name.utf8.reduce(7) { ($0 &* 31 &+ Int($1)) & 0xFF_FFFF }
          let values = (0..<run.count).map { offset in
            let value = 0.4 * SmallModels.noise(key &* 1009 &+ run.global + offset)
            return Double(Float(parameter.initializer == .ones ? 1 + value : value))
          }
          write(values, buffer, from: run.offset)
        }
      }
    }
  }

  func pieces(_ buffer: (ParameterUnit) -> Tensor) -> [LayoutRun.Piece] {
    var pieces: [LayoutRun.Piece] = []
    for unit in program.units {
      forEachRun(unit, buffer(unit)) { _, part, run in
        pieces.append(
          LayoutRun.Piece(
            name: part.name, shape: part.shape, index: run.global,
            values: read(buffer(unit), run.offset..<run.offset + run.count)))
      }
    }
    return pieces
  }

  private func forEachRun(
    _ unit: ParameterUnit, _ buffer: Tensor,
    _ body: (Parameter, ExchangePart, (global: Int, offset: Int, count: Int)) -> Void
  ) {
    let held = unit.range(of: buffer, at: position)
    for parameter in unit.parameters {
      for part in parameter.parts {
        for box in parameter.boxes(of: part, at: position).flatMap({ $0.intersection(held) }) {
          for run in box.runs(globalColumns: part.columns) {
            body(parameter, part, (run.global, run.offset - held.lowerBound, run.count))
          }
        }
      }
    }
  }
}

/// The CPU backend. The arena is filled with a pattern first, so that reading what nobody wrote shows.
struct ExecutedRank: RunningRank {
  let executor: Executor
  let audited: Bool
  var program: StepProgram { executor.program }
  var position: MeshPosition { executor.position }

  init(_ program: StepProgram, _ groups: RankGroups, audited: Bool) throws {
    self.audited = audited
    executor = try Executor(program, threads: 1, ranks: groups, checksMemory: false)
    executor.poison()
  }

  func run(_ kind: Segment.Kind, chunk: Int, microbatch: Int, isLast: Bool) throws {
    if audited { return try executor.runAudited(kind, microbatch: microbatch, isLast: isLast) }
    try executor.run(kind, microbatch: microbatch, isLast: isLast)
  }
  func set(_ field: Control, _ value: Double) { executor.set(field, value) }
  func load(_ ids: [Int32], _ targets: [Int32]) {
    _ = executor.ints(program.tokens).update(fromContentsOf: ids)
    _ = executor.ints(program.targets!).update(fromContentsOf: targets)
  }
  func setDropoutKey(seed: Int32, step: Int) {
    guard let key = program.dropoutKey else { return }
    _ = executor.ints(key).update(fromContentsOf: [seed, 0, Int32(step), 0])
  }
  func value(_ tensor: Tensor) -> Double { Double(executor.floats(tensor)[0]) }
  func read(_ tensor: Tensor, _ range: Range<Int>) -> [Double] {
    executor.values(tensor.columns(from: range.lowerBound, range.count)).map(Double.init)
  }
  func write(_ values: [Double], _ tensor: Tensor, from first: Int) {
    executor.write(to: tensor.columns(from: first, values.count)) { target in
      for (offset, value) in values.enumerated() { target[offset] = Float(value) }
    }
  }
  func finish(_ result: inout LayoutRun.RankResult) {
    result.counters = executor.communication
    (result.plannedBytes, result.highWater) = (executor.plan.totalBytes, executor.arenaHighWater)
  }
}

/// The scalar definitions in double precision.
struct InterpretedRank: RunningRank {
  let interpreter: Interpreter<Double>
  let groups: RankGroups
  var position: MeshPosition { groups.position }
  var program: StepProgram { interpreter.program }

  init(_ program: StepProgram, _ groups: RankGroups) {
    interpreter = Interpreter(program, ranks: groups)
    self.groups = groups
  }

  func run(_ kind: Segment.Kind, chunk: Int, microbatch: Int, isLast: Bool) throws {
    try interpreter.run(kind, chunk: chunk, microbatch: microbatch, isLast: isLast)
  }
  func set(_ field: Control, _ value: Double) { interpreter.scalars(program.control)[field.rawValue] = value }
  func load(_ ids: [Int32], _ targets: [Int32]) {
    interpreter.ints(program.tokens).update(from: ids, count: ids.count)
    interpreter.ints(program.targets!).update(from: targets, count: targets.count)
  }
  func setDropoutKey(seed: Int32, step: Int) {
    guard let key = program.dropoutKey else { return }
    interpreter.ints(key).update(from: [seed, 0, Int32(step), 0], count: 4)
  }
  func value(_ tensor: Tensor) -> Double { interpreter.scalars(tensor).pointee }
  func read(_ tensor: Tensor, _ range: Range<Int>) -> [Double] {
    range.map { interpreter.scalars(tensor)[$0] }
  }
  func write(_ values: [Double], _ tensor: Tensor, from first: Int) {
    (interpreter.scalars(tensor) + first).update(from: values, count: values.count)
  }
  func finish(_ result: inout LayoutRun.RankResult) { result.counters = groups.counters }
}
