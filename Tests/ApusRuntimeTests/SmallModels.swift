import ApusCore
import ApusModels
import ApusProgram
import ApusRuntime

/// Small models with odd sizes, and programs over them.
enum SmallModels {
  static let gpt2 = ModelConfiguration(
    family: .gpt2, vocabularySize: 13, maximumSequenceLength: 9, layerCount: 2, hiddenSize: 8, headCount: 2,
    intermediateSize: 20)
  static let llama = ModelConfiguration(
    family: .llama, vocabularySize: 17, maximumSequenceLength: 12, layerCount: 2, hiddenSize: 12,
    headCount: 4,
    keyValueHeadCount: 2, headSize: 6, intermediateSize: 10, tiedEmbeddings: false,
    ropeScaling: .init(
      factor: 8, lowFrequencyFactor: 1, highFrequencyFactor: 4, originalMaximumPosition: 16))
  static let tiedLlama = ModelConfiguration(
    family: .llama, vocabularySize: 11, maximumSequenceLength: 8, layerCount: 1, hiddenSize: 8, headCount: 4,
    keyValueHeadCount: 1, headSize: 2, intermediateSize: 6)

  static let all = [gpt2, llama, tiedLlama]
  /// With room for fewer tokens than choose an expert: some are passed over. Recorded and interpreted, not executed.
  static let mixture = ModelConfiguration(
    family: .llama, vocabularySize: 17, maximumSequenceLength: 12, layerCount: 2, hiddenSize: 8, headCount: 2,
    intermediateSize: 6, tiedEmbeddings: false, experts: .init(count: 4, perToken: 2))
  static let microbatches = 2
  static let lossScale = 1024.0

  static func program(
    _ model: ModelConfiguration, evaluates: Bool = false, precision: PrecisionPolicy = .fp32
  ) -> StepProgram {
    .training(
      model,
      TrainingProgramSettings(
        microBatchSize: 2, sequenceLength: 7,
        // Key biases have no gradient but rounding: a large epsilon keeps AdamW from blowing it up.
        optimizer: OptimizerSettings(epsilon: 1e-4, maximumNorm: 0.05),
        precision: precision, evaluates: evaluates))
  }

  /// Numbers in -1..<1 that depend on nothing but the index.
  static func noise(_ index: Int) -> Double {
    var x = UInt64(truncatingIfNeeded: index) &+ 0x9E37_79B9_7F4A_7C15
    x = (x ^ (x >> 30)) &* 0xBF58_476D_1CE4_E5B9
    x = (x ^ (x >> 27)) &* 0x94D0_49BB_1331_11EB
    return Double((x ^ (x >> 31)) >> 11) / Double(1 << 52) - 1
  }

  /// Start value of element `index` of parameter `number`: norms around 1, the rest around 0.
  static func weight(_ parameter: Parameter, _ number: Int, _ index: Int) -> Double {
    let value = 0.4 * noise(number * 100_003 + index)
    return parameter.initializer == .ones ? 1 + value : value
  }

  /// Token ids of a micro-batch; some targets are absent.
  static func tokens(_ program: StepProgram, vocabulary: Int, microbatch: Int) -> (
    ids: [Int32], targets: [Int32]
  ) {
    let count = program.tokens.count
    let ids = (0...count).map { Int32((($0 * 7 + microbatch * 5 + $0 * $0) % vocabulary)) }
    let targets = (0..<count).map { $0 % 5 == 3 ? Int32(-1) : ids[$0 + 1] }
    return (Array(ids.prefix(count)), targets)
  }
}

extension StepProgram {
  /// Each parameter with its number and the tensor that holds its weights of record.
  var weightsOfRecord: [(number: Int, parameter: Parameter, tensor: Tensor)] {
    let all = units.flatMap { unit in
      unit.parameters.map { ($0, unit.view(of: $0.tensor, in: unit.weightsOfRecord)) }
    }
    return all.enumerated().map { ($0, $1.0, $1.1) }
  }
}

extension Interpreter {
  /// Fills parameters, control and the moments.
  func prepare(tokenWeight: Double) {
    for (number, parameter, tensor) in program.weightsOfRecord {
      let values = scalars(tensor)
      for index in 0..<tensor.count { values[index] = Scalar(SmallModels.weight(parameter, number, index)) }
    }
    roundMasterWeights()
    for unit in program.units {
      for tensor in [unit.firstMoment, unit.secondMoment].compactMap({ $0 }) {
        scalars(tensor).update(repeating: 0, count: tensor.count)
      }
    }
    for (field, value) in [
      (Control.learningRate, 0.01), (.correction1, 0.1), (.correction2, 0.05), (.tokenWeight, tokenWeight),
      (.lossScale, SmallModels.lossScale),
    ] { scalars(program.control)[field.rawValue] = Scalar(value) }
  }

  /// Forward and backward of every micro-batch; the weighted loss.
  func step(vocabulary: Int) throws -> Scalar {
    for microbatch in 0..<SmallModels.microbatches {
      let (ids, targets) = SmallModels.tokens(program, vocabulary: vocabulary, microbatch: microbatch)
      ints(program.tokens).update(from: ids, count: ids.count)
      ints(program.targets!).update(from: targets, count: targets.count)
      try run(.forward, microbatch: microbatch)
      try run(.backward, microbatch: microbatch)
    }
    return scalars(program.loss!).pointee
  }
}

extension Executor {
  func prepare(tokenWeight: Double) {
    for (number, parameter, tensor) in program.weightsOfRecord {
      let values = floats(tensor)
      for index in values.indices { values[index] = Float(SmallModels.weight(parameter, number, index)) }
    }
    roundMasterWeights()
    for unit in program.units {
      for tensor in [unit.firstMoment, unit.secondMoment].compactMap({ $0 }) {
        floats(tensor).update(repeating: 0)
      }
    }
    set(.learningRate, 0.01)
    set(.correction1, 0.1)
    set(.correction2, 0.05)
    set(.tokenWeight, tokenWeight)
    set(.lossScale, SmallModels.lossScale)
  }

  func load(vocabulary: Int, microbatch: Int) {
    let (ids, targets) = SmallModels.tokens(program, vocabulary: vocabulary, microbatch: microbatch)
    _ = ints(program.tokens).update(fromContentsOf: ids)
    _ = ints(program.targets!).update(fromContentsOf: targets)
  }

  func step(vocabulary: Int) throws {
    for microbatch in 0..<SmallModels.microbatches {
      load(vocabulary: vocabulary, microbatch: microbatch)
      try run(.forward, microbatch: microbatch)
      try run(.backward, microbatch: microbatch)
    }
  }
}
