import ApusCommunication
import ApusConfiguration
import ApusCore
import ApusForesight
import ApusModels
import ApusProgram
import ApusReport
import ApusRuntime

/// Whole training steps of a model on made-up tokens, timed against the machine's measured peak.
package struct TrainingBenchmark {
  /// What `bench train` prints; the names are those of its JSON keys.
  package struct Result: Codable, Hashable, Sendable {
    package var tokensPerSecond: Double
    /// Median over the timed steps, data, clipping and optimizer included.
    package var stepSeconds: Double
    package var forwardSeconds: Double
    package var backwardSeconds: Double
    package var optimizerSeconds: Double
    package var modelFlopsPerSecond: Double
    /// Of square products of the type that the step multiplies, computed as the step computes them.
    package var measuredPeakFlopsPerSecond: Double
    package var measuredPeakOf: String
    package var shareOfPeak: Double
    package var plannedBytes: Int
    /// Measured outside the plan: end of the last byte touched by steps 1 and 2.
    package var arenaHighWaterBytes: Int
    package var peakResidentBytes: Int
    package var parameters: Int
    package var threads: Int
    package var loss: Double
    /// Bytes that a step's instructions read and write, and what they would without fusion.
    package var bytesMoved: Int
    package var bytesMovedUnfused: Int
    package var ranks: Int
    /// Of the first rank in the step of median time, by axis; absent with one rank.
    package var communication: [StepRecord.AxisCommunication]?
  }

  /// Time and work of one kind of instruction in the timed steps.
  package struct OperationTime: Codable, Hashable, Sendable {
    package var operation: String
    package var segment: String
    package var seconds: Double
    package var flopsPerSecond: Double
    package var bytesPerSecond: Double
  }

  private let model: ModelConfiguration
  private let loop: StepLoop
  private let executor: Executor
  private let source: MadeUpTokens
  private let sequenceLength: Int
  private let peak: Double
  private let peakText: String
  private let threads: Int
  private let highWater: Int
  private let scale: LossScale?
  private let place: RankPlace

  /// Measures the peak, prepares the step and runs steps 1 and 2 over a poisoned arena. All ranks of the layout do
  /// it at the same time.
  ///
  /// - Parameters:
  ///   - microBatchSize: sequences of a replica.
  ///   - threads: of each rank.
  package init(
    _ model: ModelConfiguration, microBatchSize: Int, sequenceLength: Int, accumulation: Int = 1,
    recomputation: RecomputationSettings = .none, precision: PrecisionPolicy = .fp32, threads: Int,
    layout: LayoutSection = LayoutSection(), place: RankPlace = .alone()
  ) throws {
    self.place = place
    self.model = model
    self.sequenceLength = sequenceLength
    self.threads = threads
    let own = try MachineMeasurement.measure(
      threads: threads, measuresMemory: false, type: precision.compute)
    peak = try place.world.control.allReduce([own.peakFLOPsPerSecond], label: "the machines' peak")[0]
    peakText = own.peakText
    var settings = TrainingProgramSettings(
      microBatchSize: microBatchSize, sequenceLength: sequenceLength, recomputation: recomputation,
      precision: precision, layout: layout.ranks, communication: layout.communication)
    settings.accumulates = accumulation > 1
    let program = StepProgram.training(model, settings)
    try Executor.checkFit(program, threads: threads, ranksOnMachine: place.ranksOnMachine)
    executor = try Executor(program, threads: threads, ranks: place.groups(program.mesh))
    source = MadeUpTokens(vocabularySize: model.vocabularySize, sequenceLength: sequenceLength)
    loop = StepLoop(
      executor, microbatches: accumulation, samplesPerMicrobatch: microBatchSize,
      optimizer: settings.optimizer, world: place.world)
    executor.poison()
    executor.initializeParameters(seed: 1)
    scale = .withoutSkips(precision)
    try executor.gatherWeights()
    for step in 1...2 { _ = try loop.run(step: step, learningRate: 1e-4, scale: scale, source) }
    highWater = executor.arenaHighWater
  }

  /// Times `steps` further steps.
  package func run(steps: Int) throws -> Result {
    var outcomes: [StepOutcome] = []
    for step in 3..<3 + steps {
      outcomes.append(try loop.run(step: step, learningRate: 1e-4, scale: scale, source))
    }
    func median(_ value: (StepOutcome) -> Double) -> Double {
      outcomes.map(value).sorted()[outcomes.count / 2]
    }
    let seconds = median(\.seconds)
    let tokensPerSecond = Double(outcomes[0].tokens) / seconds
    let flops = ModelFLOPs(model, sequenceLength: sequenceLength).perToken(.causal) * tokensPerSecond
    return Result(
      tokensPerSecond: tokensPerSecond, stepSeconds: seconds, forwardSeconds: median(\.forwardSeconds),
      backwardSeconds: median(\.backwardSeconds), optimizerSeconds: median(\.optimizerSeconds),
      modelFlopsPerSecond: flops, measuredPeakFlopsPerSecond: peak, measuredPeakOf: peakText,
      shareOfPeak: flops / peak,
      plannedBytes: executor.plan.totalBytes, arenaHighWaterBytes: highWater,
      peakResidentBytes: ProcessMemory.peakResidentBytes, parameters: executor.program.parameterCount,
      threads: threads, loss: outcomes[outcomes.count - 1].loss, bytesMoved: bytesOfStep(\.cost),
      bytesMovedUnfused: bytesOfStep(\.unfusedCost), ranks: place.world.size,
      communication: outcomes.sorted { $0.seconds < $1.seconds }[outcomes.count / 2].communicationRecords)
  }

  private func bytesOfStep(_ cost: (Segment) -> Cost) -> Int {
    Schedule.accumulation(microbatches: loop.batches.microbatches(ofStep: 1)).reduce(0) { sum, action in
      guard case .run(let kind, _) = action, let segment = executor.program.segment(kind) else { return sum }
      return sum + cost(segment).bytes
    }
  }

  /// Runs step `step` once more with every instruction and transfer of this rank noted: the text of a trace. All
  /// ranks do it.
  package func trace(step: Int, title: String) throws -> String {
    try StepTrace.record(executor) { execute in
      _ = try loop.run(step: step, learningRate: 1e-4, scale: scale, source, execute: execute)
    }.file(executor.program, rank: place.world.rank, title: title).json
  }

  /// Runs one more step instruction by instruction and adds up the time of each kind, longest first.
  package func profile() -> [OperationTime] {
    var times: [String: (segment: String, name: String, seconds: Double, cost: Cost)] = [:]
    for segment in executor.program.segments {
      var seconds = Array(repeating: 0.0, count: segment.instructions.count)
      executor.runAlone(segment.kind, addingTo: &seconds)
      for (instruction, time) in zip(segment.instructions, seconds) {
        let key = "\(segment.kind) \(instruction.op.name)"
        var entry = times[key] ?? (segment.kind.rawValue, instruction.op.name, 0, .zero)
        entry.seconds += time
        entry.cost = entry.cost + instruction.cost
        times[key] = entry
      }
    }
    return times.values.sorted { $0.seconds > $1.seconds }.map {
      OperationTime(
        operation: $0.name, segment: $0.segment, seconds: $0.seconds,
        flopsPerSecond: Double($0.cost.flops) / $0.seconds, bytesPerSecond: Double($0.cost.bytes) / $0.seconds
      )
    }
  }
}

/// Tokens without meaning, a pure function of sample and position.
package struct MadeUpTokens: BatchSource {
  let vocabularySize: Int
  let sequenceLength: Int

  package init(vocabularySize: Int, sequenceLength: Int) {
    self.vocabularySize = vocabularySize
    self.sequenceLength = sequenceLength
  }

  package func fill(
    inputs: UnsafeMutableBufferPointer<Int32>, targets: UnsafeMutableBufferPointer<Int32>, first: Int,
    count: Int
  ) {
    for sample in 0..<count {
      for position in 0..<sequenceLength {
        let index = sample * sequenceLength + position
        inputs[index] = token(first + sample, position)
        targets[index] = token(first + sample, position + 1)
      }
    }
  }

  private func token(_ sample: Int, _ position: Int) -> Int32 {
    var random = SplitMix64(state: UInt64(sample) << 32 | UInt64(position))
    return Int32(random.next() % UInt64(vocabularySize))
  }
}
