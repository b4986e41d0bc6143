/// What the model is trained on and how text becomes tokens.
public struct DataSection: Hashable, Sendable, Codable {
  /// At least one source.
  public var train: [DataSource]
  /// Sources kept apart for validation; empty when a fraction of the training data serves.
  public var validation: [DataSource]
  /// The share of the training data that is held back for validation; 0 when `validation` has sources.
  public var validationFraction: Double
  /// A `tokenizer.json`; nil when a tokenizer is trained on the training data.
  public var tokenizer: String?
  /// The vocabulary of the tokenizer that is trained when `tokenizer` is nil.
  public var tokenizerVocabularySize: Int
  /// Whether the sequences are drawn in random order, anew each epoch.
  public var shuffle: Bool
  /// Fixes the order of the data.
  public var seed: Int

  public init(
    train: [DataSource], validation: [DataSource] = [], validationFraction: Double = 0.1,
    tokenizer: String? = nil, tokenizerVocabularySize: Int = 4096, shuffle: Bool = true, seed: Int = 1234
  ) {
    self.train = train
    self.validation = validation
    self.validationFraction = validation.isEmpty ? validationFraction : 0
    self.tokenizer = tokenizer
    self.tokenizerVocabularySize = tokenizerVocabularySize
    self.shuffle = shuffle
    self.seed = seed
  }

  /// True when there is something to validate on.
  public var hasValidation: Bool { !validation.isEmpty || validationFraction > 0 }

  init(reading reader: inout SectionReader, model: ModelSection, modelIsGood: Bool) {
    let train = DataSource.list("train", in: &reader)
    let validation = DataSource.list("validation", in: &reader)
    let fraction = reader.number("validation_fraction", .fraction)
    let tokenizer = reader.text("tokenizer")
    let vocabularySize = reader.integer("tokenizer_vocabulary_size", 257...1_000_000)
    let shuffle = reader.truth("shuffle")
    let seed = reader.integer("seed", 0...Int.max)
    self.init(
      train: train ?? [], validation: validation ?? [], validationFraction: fraction ?? 0.1,
      tokenizer: tokenizer, tokenizerVocabularySize: vocabularySize ?? 4096, shuffle: shuffle ?? true,
      seed: seed ?? 1234)

    reader.reportMissing("train", "write the files to train on, for example `train: [corpus/*.txt]`")
    if reader.has("validation") {
      reader.refuse(
        "validation_fraction", because: "holds nothing back when validation names its own files",
        "remove one of the two")
    }
    if tokenizer != nil {
      reader.refuse(
        "tokenizer_vocabulary_size", because: "has no effect: the tokenizer is read from \(tokenizer ?? "")")
    } else if reader.isGood("train", "tokenizer"), !self.train.isEmpty,
      self.train.allSatisfy({ $0.format == .tokens })
    {
      reader.report(
        "tokenizer", "is missing, and token files hold no text to train one on",
        "write the tokenizer.json that made the tokens")
    }
    checkVocabulary(model, modelIsGood, in: &reader)
  }

  /// A tokenizer that will be trained must not have more tokens than the model has embeddings.
  private func checkVocabulary(_ model: ModelSection, _ modelIsGood: Bool, in reader: inout SectionReader) {
    guard modelIsGood, tokenizer == nil, reader.isGood("tokenizer", "tokenizer_vocabulary_size"),
      let embeddings = model.shape?.vocabularySize, embeddings > 0, embeddings < tokenizerVocabularySize
    else { return }
    reader.report(
      "tokenizer_vocabulary_size",
      "the tokenizer's \(tokenizerVocabularySize) tokens exceed model.vocabulary_size \(embeddings)",
      "use at most \(embeddings), or `vocabulary_size: \(GivenShape.tokenizerWord)` in the model")
  }

  var resolved: ResolvedValue {
    var entries = ResolvedEntries()
    entries.add("train", .list(train.map(\.resolved)))
    if validation.isEmpty {
      entries.add("validation_fraction", validationFraction)
    } else {
      entries.add("validation", .list(validation.map(\.resolved)))
    }
    if let tokenizer {
      entries.add("tokenizer", tokenizer)
    } else {
      entries.add("tokenizer_vocabulary_size", tokenizerVocabularySize)
    }
    entries.add("shuffle", shuffle)
    entries.add("seed", seed)
    return .mapping(entries)
  }
}
