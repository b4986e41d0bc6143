import ApusCore
import ApusModels
import ApusProgram
import ApusRuntime

/// How long this machine takes for each kind of instruction, as a function of its FLOPs and bytes: measured on a fixed
/// grid of small models, never on the one that is asked about.
///
/// Only kinds that a family, precision and recomputation have in common are comparable, so they are calibrated
/// together. Takes about two seconds.
package struct MachineCalibration: Codable, Hashable, Sendable {
  package let threads: Int
  private let costs: [String: FittedCost]
  /// Seconds of a step outside its instructions.
  private let stepOverhead: Double

  /// A model of the grid and its batch.
  private struct Point {
    let hidden, layers, vocabulary, sequence, batch: Int
  }

  private static let grid = [
    Point(hidden: 64, layers: 2, vocabulary: 512, sequence: 64, batch: 2),
    Point(hidden: 128, layers: 2, vocabulary: 1024, sequence: 128, batch: 2),
    Point(hidden: 128, layers: 1, vocabulary: 512, sequence: 64, batch: 16),
    Point(hidden: 256, layers: 2, vocabulary: 1024, sequence: 128, batch: 4),
    Point(hidden: 192, layers: 2, vocabulary: 4096, sequence: 256, batch: 2),
    Point(hidden: 384, layers: 1, vocabulary: 2048, sequence: 64, batch: 8),
    Point(hidden: 512, layers: 2, vocabulary: 8192, sequence: 128, batch: 2),
    Point(hidden: 320, layers: 1, vocabulary: 1024, sequence: 256, batch: 8),
  ]

  /// Runs after the warm-up, of which the median counts.
  private static let repeats = 5

  /// Measures the machine for programs like this one.
  ///
  /// - Parameters:
  ///   - model: whose family, ratio of heads and biases the grid's models take over.
  ///   - settings: whose precision, recomputation and optimizer they take over.
  package static func measure(
    like model: ModelConfiguration, _ settings: TrainingProgramSettings, threads: Int
  ) throws -> MachineCalibration {
    var samples: [String: [FittedCost.Sample]] = [:]
    var overheads: [Double] = []
    for point in grid {
      var small = model
      small.layerCount = point.layers
      small.hiddenSize = point.hidden
      // A power of two, so that it divides every hidden size of the grid.
      small.headSize = model.headSize >= 64 ? 64 : model.headSize >= 32 ? 32 : 16
      small.headCount = point.hidden / small.headSize
      let group = max(1, model.headCount / max(1, model.keyValueHeadCount))
      small.keyValueHeadCount =
        small.headCount.isMultiple(of: group) ? small.headCount / group : small.headCount
      small.intermediateSize = max(8, point.hidden * model.intermediateSize / model.hiddenSize / 8 * 8)
      small.vocabularySize = point.vocabulary
      small.maximumSequenceLength = point.sequence
      var batch = settings
      batch.microBatchSize = point.batch
      batch.sequenceLength = point.sequence
      batch.evaluates = false
      batch.layout = ParallelLayout()
      let executor = try Executor(.training(small, batch), threads: threads)
      executor.initializeParameters(seed: 1)
      overheads.append(try collect(executor, small, batch, &samples))
    }
    return MachineCalibration(
      threads: threads, costs: samples.mapValues { FittedCost($0) },
      stepOverhead: overheads.sorted()[overheads.count / 2])
  }

  /// Adds a sample an instruction; returns the seconds of a step that no instruction accounts for.
  private static func collect(
    _ executor: Executor, _ model: ModelConfiguration, _ settings: TrainingProgramSettings,
    _ samples: inout [String: [FittedCost.Sample]]
  ) throws -> Double {
    let loop = StepLoop(
      executor, microbatches: 1, samplesPerMicrobatch: settings.microBatchSize, optimizer: settings.optimizer)
    let source = MadeUpTokens(
      vocabularySize: model.vocabularySize, sequenceLength: settings.sequenceLength)
    let scale = settings.precision.scalesLoss ? LossScale() : nil
    var times: [Segment.Kind: [[Double]]] = [:]
    var outside: [Double] = []
    for step in 1...repeats + 1 {
      var inside = 0.0
      let outcome = try loop.run(step: step, learningRate: 1e-4, scale: scale, source) {
        kind, microbatch, isLast in
        var seconds: [Double] = []
        try executor.run(kind, microbatch: microbatch, isLast: isLast) { seconds.append($0.seconds) }
        inside += seconds.reduce(0, +)
        if step > 1 { times[kind, default: []].append(seconds) }
      }
      if step > 1 { outside.append(outcome.seconds - inside) }
    }
    for segment in executor.program.segments {
      guard let runs = times[segment.kind], let first = runs.first else { continue }
      for index in first.indices {
        let seconds = runs.map { $0[index] }.sorted()[runs.count / 2]
        let instruction = segment.instructions[index]
        samples[Self.kind(instruction), default: []].append(FittedCost.Sample(instruction.cost, seconds))
      }
    }
    return outside.sorted()[outside.count / 2]
  }

  /// What instructions are compared with each other.
  private static func kind(_ instruction: Instruction) -> String { instruction.op.name }

  /// Seconds of a step of `microbatches` passes; nil where the program has a kind that the grid does not.
  package func stepSeconds(_ program: StepProgram, microbatches: Int) -> Double? {
    var sum = stepOverhead
    for segment in program.segments {
      let repeats: Double
      switch segment.kind {
      case .forward, .backward: repeats = Double(microbatches)
      case .synchronise, .optimizer: repeats = 1
      default: continue
      }
      for instruction in segment.instructions {
        guard let cost = costs[Self.kind(instruction)] else { return nil }
        sum += repeats * cost.seconds(instruction.cost)
      }
    }
    return sum
  }
}
