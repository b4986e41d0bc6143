public import ApusModels

/// Which model is trained: a preset, explicit numbers, or a folder to start from.
public struct ModelSection: Hashable, Sendable, Codable {
  /// The preset that the shape began with, if any; see `ModelPresets`.
  public var preset: String?
  /// A Hugging Face folder whose weights and shape the training starts from.
  public var from: String?
  /// The model's shape, preset and explicit keys put together; nil exactly when `from` is given.
  ///
  /// A `vocabularySize` of 0 means "as many as the tokenizer has": the trainer fills it in.
  public var shape: ModelConfiguration?

  public init(preset: String? = nil, from: String? = nil, shape: ModelConfiguration? = nil) {
    self.preset = preset
    self.from = from
    self.shape = shape
  }

  /// Reads the section. Values without meaning stand for what is missing or bad; the problems are in the reader.
  init(reading reader: inout SectionReader) {
    preset = reader.text("preset")
    from = reader.text("from")
    let given = GivenShape(reading: &reader)
    if from != nil {
      for key in ["preset"] + GivenShape.keys {
        reader.refuse(key, because: "cannot go with from: the folder's config.json has the shape")
      }
      return
    }
    var base: ModelConfiguration?
    if let preset {
      base = ModelPresets.named(preset)
      if base == nil { reader.reportChoice("preset", preset, among: ModelPresets.names) }
    } else if reader.isGood("preset") {
      given.reportMissing(in: &reader)
    }
    let shape = given.shape(over: base)
    given.check(shape, in: &reader)
    self.shape = shape
  }

  var resolved: ResolvedValue {
    var entries = ResolvedEntries()
    entries.add("preset", preset)
    entries.add("from", from)
    guard let shape else { return .mapping(entries) }
    entries.add("family", shape.family.rawValue)
    if shape.vocabularySize == 0 {
      entries.add("vocabulary_size", GivenShape.tokenizerWord)
    } else {
      entries.add("vocabulary_size", shape.vocabularySize)
    }
    entries.add("maximum_sequence_length", shape.maximumSequenceLength)
    entries.add("layers", shape.layerCount)
    entries.add("hidden_size", shape.hiddenSize)
    entries.add("heads", shape.headCount)
    entries.add("key_value_heads", shape.keyValueHeadCount)
    entries.add("head_size", shape.headSize)
    entries.add("intermediate_size", shape.intermediateSize)
    entries.add("tied_embeddings", shape.tiedEmbeddings)
    entries.add("norm_epsilon", shape.normEpsilon)
    guard shape.family == .llama else { return .mapping(entries) }
    if let experts = shape.experts {
      entries.add("experts", experts.count)
      entries.add("experts_per_token", experts.perToken)
    }
    entries.add("rope_theta", shape.ropeTheta)
    if let scaling = shape.ropeScaling {
      var nested = ResolvedEntries()
      nested.add("factor", scaling.factor)
      nested.add("low_frequency_factor", scaling.lowFrequencyFactor)
      nested.add("high_frequency_factor", scaling.highFrequencyFactor)
      nested.add("original_maximum_position", scaling.originalMaximumPosition)
      entries.add("rope_scaling", .mapping(nested))
    } else {
      entries.add("rope_scaling", .null)
    }
    return .mapping(entries)
  }
}
