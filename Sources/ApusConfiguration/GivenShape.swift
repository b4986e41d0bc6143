import ApusModels

/// The shape keys that the model section writes, before a preset and the family's rules fill the rest.
struct GivenShape {
  /// The value of `vocabulary_size` that leaves the number to the tokenizer.
  static let tokenizerWord = "tokenizer"

  /// Every shape key, found by reading an empty section.
  static var keys: [String] {
    var reader = SectionReader(path: "model", node: nil, file: "")
    _ = GivenShape(reading: &reader)
    return reader.known
  }

  private let family: ModelConfiguration.Family?
  /// 0 for the word `tokenizer`.
  private let vocabularySize: Int?
  private let maximumSequenceLength, layers, hiddenSize, heads, keyValueHeads, headSize,
    intermediateSize, experts, expertsPerToken: Int?
  private let tiedEmbeddings: Bool?
  private let normEpsilon, ropeTheta: Double?
  private let ropeScaling: ModelConfiguration.RopeScaling?
  /// True for `rope_scaling: null`, which removes the preset's.
  private let removesRopeScaling: Bool

  /// The upper bounds only catch slips of the keyboard: each is far above every published model.
  init(reading reader: inout SectionReader) {
    family = reader.choice("family", ModelConfiguration.Family.self)
    if case .scalar(Self.tokenizerWord, _) = reader.node("vocabulary_size")?.content {
      vocabularySize = 0
    } else {
      vocabularySize = reader.integer("vocabulary_size", 1...16_777_216)
    }
    maximumSequenceLength = reader.integer("maximum_sequence_length", 1...16_777_216)
    layers = reader.integer("layers", 1...1000)
    hiddenSize = reader.integer("hidden_size", 1...1_048_576)
    heads = reader.integer("heads", 1...65_536)
    keyValueHeads = reader.integer("key_value_heads", 1...65_536)
    headSize = reader.integer("head_size", 1...1_048_576)
    intermediateSize = reader.integer("intermediate_size", 1...16_777_216)
    experts = reader.integer("experts", 2...65_536)
    expertsPerToken = reader.integer("experts_per_token", 1...65_536)
    tiedEmbeddings = reader.truth("tied_embeddings")
    normEpsilon = reader.number("norm_epsilon", .positive)
    ropeTheta = reader.number("rope_theta", .positive)
    let scaling = reader.node("rope_scaling")
    removesRopeScaling = scaling == nil && reader.writes("rope_scaling")
    ropeScaling = scaling.flatMap { Self.ropeScaling($0, in: &reader) }
  }

  private static func ropeScaling(
    _ node: YAMLNode, in reader: inout SectionReader
  ) -> ModelConfiguration.RopeScaling? {
    var nested = SectionReader(path: "model.rope_scaling", node: node, file: reader.place.file ?? "")
    let factor = nested.number("factor", .atLeastOne)
    let low = nested.number("low_frequency_factor", .positive) ?? 1
    let high = nested.number("high_frequency_factor", .positive) ?? 4
    let original = nested.integer("original_maximum_position", 1...16_777_216)
    nested.reportMissing("factor", "write by how much the context is stretched, for example 8")
    nested.reportMissing(
      "original_maximum_position", "write the positions before stretching, for example 8192")
    nested.reportUnknownKeys()
    if nested.isGood("low_frequency_factor", "high_frequency_factor"), low >= high {
      nested.report(
        "low_frequency_factor", "\(low) is not below high_frequency_factor \(high)",
        "use 1 and 4 as Llama 3.1 does")
    }
    reader.absorb(nested, under: "rope_scaling")
    guard let factor, let original else { return nil }
    return .init(
      factor: factor, lowFrequencyFactor: low, highFrequencyFactor: high, originalMaximumPosition: original)
  }

  /// Notes what a shape without a preset lacks.
  func reportMissing(in reader: inout SectionReader) {
    if GivenShape.keys.allSatisfy({ !reader.has($0) }) {
      let near =
        "write `preset: llama-tiny`, or family, layers, hidden_size, heads and maximum_sequence_length"
      reader.report("preset", "the model is missing", near)
      return
    }
    reader.reportMissing("family", "write gpt2 or llama, or begin with a preset")
    for key in ["layers", "hidden_size", "heads", "maximum_sequence_length"] {
      reader.reportMissing(key, "write a whole number, or begin with a preset")
    }
  }

  /// The whole shape. What is not given is the preset's; sizes that follow from a given one follow the
  /// family's rule: head size = hidden / heads, intermediate size = 4 hidden (GPT-2) or 8/3 hidden, up to
  /// the next multiple of 256 (Touvron et al. 2023, section 2.2 and the released code).
  func shape(over base: ModelConfiguration?) -> ModelConfiguration {
    let family = family ?? base?.family ?? .llama
    let heads = heads ?? base?.headCount ?? 1
    let hidden = hiddenSize ?? base?.hiddenSize ?? heads
    let changesFamily = base.map { $0.family != family } ?? true
    let followsHeads = base.map { $0.keyValueHeadCount == $0.headCount } ?? true
    let keepsHeadSize = hiddenSize == nil && self.heads == nil
    let keepsIntermediate = hiddenSize == nil && !changesFamily
    return ModelConfiguration(
      family: family,
      vocabularySize: vocabularySize ?? base?.vocabularySize ?? 0,
      maximumSequenceLength: maximumSequenceLength ?? base?.maximumSequenceLength ?? Int.max,
      layerCount: layers ?? base?.layerCount ?? 1,
      hiddenSize: hidden,
      headCount: heads,
      keyValueHeadCount: keyValueHeads ?? (followsHeads ? heads : base?.keyValueHeadCount),
      headSize: headSize ?? (keepsHeadSize ? base?.headSize : nil) ?? max(1, hidden / heads),
      intermediateSize: intermediateSize ?? (keepsIntermediate ? base?.intermediateSize : nil)
        ?? Self.intermediateSize(family, hidden),
      tiedEmbeddings: tiedEmbeddings ?? base?.tiedEmbeddings ?? true,
      normEpsilon: normEpsilon ?? base?.normEpsilon ?? 1e-5,
      ropeTheta: ropeTheta ?? (family == .llama ? base?.ropeTheta : nil) ?? 10_000,
      ropeScaling: removesRopeScaling || family == .gpt2 ? nil : ropeScaling ?? base?.ropeScaling,
      experts: experts.map { .init(count: $0, perToken: expertsPerToken ?? min(2, $0)) })
  }

  private static func intermediateSize(_ family: ModelConfiguration.Family, _ hidden: Int) -> Int {
    family == .gpt2 ? 4 * hidden : (8 * hidden / 3 + 255) / 256 * 256
  }
}
