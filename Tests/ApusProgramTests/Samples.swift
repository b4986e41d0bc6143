import ApusCore
import ApusModels
import ApusProgram

/// Models and programs that the tests record.
enum Samples {
  static let gpt2 = ModelConfiguration(
    family: .gpt2, vocabularySize: 13, maximumSequenceLength: 9, layerCount: 2, hiddenSize: 8, headCount: 2,
    intermediateSize: 20)
  static let llama = ModelConfiguration(
    family: .llama, vocabularySize: 17, maximumSequenceLength: 12, layerCount: 2, hiddenSize: 12,
    headCount: 4,
    keyValueHeadCount: 2, headSize: 6, intermediateSize: 10, tiedEmbeddings: false)
  static let tiedLlama = ModelConfiguration(
    family: .llama, vocabularySize: 11, maximumSequenceLength: 8, layerCount: 3, hiddenSize: 8, headCount: 4,
    keyValueHeadCount: 1, headSize: 2, intermediateSize: 6)

  static let small = [gpt2, llama, tiedLlama]

  /// Every preset; where the vocabulary is the tokenizer's, of 4,096 tokens.
  static let presets = ModelPresets.all.map { preset in
    var shape = preset.shape
    if shape.vocabularySize == 0 { shape.vocabularySize = 4096 }
    return (name: preset.name, shape: shape)
  }

  static func program(
    _ model: ModelConfiguration, microBatch: Int = 2, sequence: Int = 7, evaluates: Bool = true,
    precision: PrecisionPolicy = .fp32, recomputation: RecomputationSettings = .none, isFused: Bool = true,
    accumulates: Bool = true
  ) -> StepProgram {
    var settings = TrainingProgramSettings(
      microBatchSize: microBatch, sequenceLength: sequence, recomputation: recomputation,
      precision: precision, evaluates: evaluates)
    settings.isFused = isFused
    settings.accumulates = accumulates
    return .training(model, settings)
  }

  /// Scratch memory of about the size that a processor backend asks for: tiles of attention, logits of a
  /// chunk of rows. Sizes are no multiples of the plan's alignment.
  static func workspace(_ instruction: Instruction) -> Int {
    switch instruction.op {
    case .attention(let attention): 3 * 4 * 64 * (64 + attention.heads.headSize) + 4
    case .attentionGradient(let gradient): 5 * 4 * 64 * (64 + gradient.forward.heads.headSize) + 4
    case .headLoss, .headLossGradient:
      instruction.inputs[0].type.byteCount * instruction.inputs[1].rows
        * min(instruction.inputs[0].rows, max(1, (128 << 20) / (4 * instruction.inputs[1].rows))) + 4
    default: 0
    }
  }
}

/// Equal numbers in every run (SplitMix64).
struct Dice: RandomNumberGenerator {
  var state: UInt64

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var x = state
    x = (x ^ (x >> 30)) &* 0xBF58_476D_1CE4_E5B9
    x = (x ^ (x >> 27)) &* 0x94D0_49BB_1331_11EB
    return x ^ (x >> 31)
  }
}
