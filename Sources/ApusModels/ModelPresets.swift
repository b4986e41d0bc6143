/// A published or default model shape under a name that a configuration can write.
public struct ModelPreset: Hashable, Sendable {
  /// What `model.preset` says: `gpt2-124m`.
  public let name: String
  /// The shape. A `vocabularySize` of 0 means "as many as the tokenizer has".
  public let shape: ModelConfiguration
}

/// The model shapes known by name.
///
/// Sources: GPT-2 from Radford et al. 2019 and its released configurations; Llama 3, 3.1 and 3.2 from the
/// released configurations (Grattafiori et al. 2024, table 3); the `bench-` shapes from the benchmark of
/// the Ultra-Scale Playbook (domain reference B7: Llama-style, no grouped queries, vocabulary 131,072).
public enum ModelPresets {
  /// Every preset, smallest of its kind first.
  public static let all: [ModelPreset] = gpt2 + smallLlama + llama3 + bench

  /// Every preset's name, in the order of `all`.
  public static var names: [String] { all.map(\.name) }

  /// The shape of that name, or nil when there is none.
  public static func named(_ name: String) -> ModelConfiguration? {
    all.first { $0.name == name }?.shape
  }

  private static let gpt2 = [
    ModelPreset(name: "gpt2-124m", shape: gpt2Shape(layers: 12, hidden: 768, heads: 12)),
    ModelPreset(name: "gpt2-350m", shape: gpt2Shape(layers: 24, hidden: 1024, heads: 16)),
    ModelPreset(name: "gpt2-774m", shape: gpt2Shape(layers: 36, hidden: 1280, heads: 20)),
    ModelPreset(name: "gpt2-1558m", shape: gpt2Shape(layers: 48, hidden: 1600, heads: 25)),
  ]

  private static func gpt2Shape(layers: Int, hidden: Int, heads: Int) -> ModelConfiguration {
    ModelConfiguration(
      family: .gpt2, vocabularySize: 50_257, maximumSequenceLength: 1024, layerCount: layers,
      hiddenSize: hidden, headCount: heads)
  }

  /// The default job, and the smallest size at which Llama models are usually compared.
  private static let smallLlama = [
    ModelPreset(
      name: "llama-tiny",
      shape: ModelConfiguration(
        family: .llama, vocabularySize: 0, maximumSequenceLength: 128, layerCount: 4, hiddenSize: 192,
        headCount: 6, keyValueHeadCount: 2, intermediateSize: 512)),
    ModelPreset(
      name: "llama-small",
      shape: ModelConfiguration(
        family: .llama, vocabularySize: 0, maximumSequenceLength: 256, layerCount: 6, hiddenSize: 256,
        headCount: 8, keyValueHeadCount: 4, intermediateSize: 704)),
    ModelPreset(
      name: "llama-110m",
      shape: ModelConfiguration(
        family: .llama, vocabularySize: 32_000, maximumSequenceLength: 1024, layerCount: 12, hiddenSize: 768,
        headCount: 12, intermediateSize: 2048)),
  ]

  private static let llama3 = [
    ModelPreset(
      name: "llama-3.2-1b",
      shape: llama3Shape(
        layers: 16, hidden: 2048, heads: 32, intermediate: 8192, tied: true, ropeFactor: 32)),
    ModelPreset(
      name: "llama-3.2-3b",
      shape: llama3Shape(
        layers: 28, hidden: 3072, heads: 24, intermediate: 8192, tied: true, ropeFactor: 32)),
    ModelPreset(
      name: "llama-3-8b", shape: llama3Shape(layers: 32, hidden: 4096, heads: 32, intermediate: 14_336)),
    ModelPreset(
      name: "llama-3-70b", shape: llama3Shape(layers: 80, hidden: 8192, heads: 64, intermediate: 28_672)),
    // Published only as Llama 3.1.
    ModelPreset(
      name: "llama-3-405b",
      shape: llama3Shape(layers: 126, hidden: 16_384, heads: 128, intermediate: 53_248, ropeFactor: 8)),
  ]

  /// Llama 3 has 8,192 positions; 3.1 and 3.2 stretch its rotary frequencies to 131,072.
  private static func llama3Shape(
    layers: Int, hidden: Int, heads: Int, intermediate: Int, tied: Bool = false, ropeFactor: Double? = nil
  ) -> ModelConfiguration {
    ModelConfiguration(
      family: .llama, vocabularySize: 128_256, maximumSequenceLength: ropeFactor == nil ? 8192 : 131_072,
      layerCount: layers, hiddenSize: hidden, headCount: heads, keyValueHeadCount: 8,
      intermediateSize: intermediate, tiedEmbeddings: tied, ropeTheta: 500_000,
      ropeScaling: ropeFactor.map {
        .init(factor: $0, lowFrequencyFactor: 1, highFrequencyFactor: 4, originalMaximumPosition: 8192)
      })
  }

  /// Which of them tie their embeddings is derived: only so do the counts meet the published names.
  private static let bench = [
    ModelPreset(
      name: "bench-1.34b",
      shape: benchShape(layers: 16, hidden: 2048, heads: 32, intermediate: 8192, tied: true)),
    ModelPreset(
      name: "bench-3.57b",
      shape: benchShape(layers: 28, hidden: 3072, heads: 32, intermediate: 8192, tied: true)),
    ModelPreset(
      name: "bench-8.86b",
      shape: benchShape(layers: 32, hidden: 4096, heads: 32, intermediate: 14_336, tied: false)),
    ModelPreset(
      name: "bench-80b",
      shape: benchShape(layers: 80, hidden: 8192, heads: 64, intermediate: 28_672, tied: false)),
  ]

  private static func benchShape(
    layers: Int, hidden: Int, heads: Int, intermediate: Int, tied: Bool
  ) -> ModelConfiguration {
    ModelConfiguration(
      family: .llama, vocabularySize: 131_072, maximumSequenceLength: 4096, layerCount: layers,
      hiddenSize: hidden, headCount: heads, intermediateSize: intermediate, tiedEmbeddings: tied)
  }
}
