import ApusForesight
import ApusModels
import ApusProgram

/// Estimates that the tests look at.
enum Estimates {
  /// Every preset; where the vocabulary is the tokenizer's, of 4,096 tokens.
  static let presets = ModelPresets.all.map { preset in
    var shape = preset.shape
    if shape.vocabularySize == 0 { shape.vocabularySize = 4096 }
    return (name: preset.name, shape: shape)
  }

  static func shape(_ name: String) -> ModelConfiguration? { presets.first { $0.name == name }?.shape }

  /// Sizes at which nothing is a multiple of anything: heads wider than the hidden size, odd widths.
  static let odd = ModelConfiguration(
    family: .llama, vocabularySize: 17, maximumSequenceLength: 12, layerCount: 2, hiddenSize: 12,
    headCount: 4,
    keyValueHeadCount: 2, headSize: 6, intermediateSize: 10, tiedEmbeddings: false)
  static let oddGPT2 = ModelConfiguration(
    family: .gpt2, vocabularySize: 13, maximumSequenceLength: 9, layerCount: 3, hiddenSize: 10, headCount: 5,
    intermediateSize: 21)

  /// Scratch memory of the head's logits alone.
  static func workspace(_ instruction: Instruction) -> Int {
    switch instruction.op {
    case .headLoss, .headLossGradient:
      4 * instruction.inputs[1].rows
        * min(instruction.inputs[0].rows, max(1, (64 << 20) / (4 * instruction.inputs[1].rows)))
    default: 0
    }
  }

  static func estimate(
    _ model: ModelConfiguration, microBatch: Int = 1, sequence: Int, accumulation: Int = 1
  ) throws -> MemoryEstimate {
    try MemoryEstimate(
      model, TrainingProgramSettings(microBatchSize: microBatch, sequenceLength: sequence, evaluates: true),
      accumulation: accumulation, workspace: workspace)
  }
}
