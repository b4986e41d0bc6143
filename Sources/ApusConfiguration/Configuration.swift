public import ApusModels
import ApusProgram

/// One training job, complete: every value that a YAML file and its overrides leave open has its default.
///
/// `load` and `parse` check everything before anything else happens. The keys are described in
/// `docs/configuration.md`.
public struct Configuration: Hashable, Sendable, Codable {
  public var model: ModelSection
  public var data: DataSection
  public var training: TrainingSection
  public var layout: LayoutSection
  public var checkpoint: CheckpointSection
  public var output: OutputSection

  public init(
    model: ModelSection, data: DataSection, training: TrainingSection, layout: LayoutSection = .init(),
    checkpoint: CheckpointSection = .init(), output: OutputSection
  ) {
    self.model = model
    self.data = data
    self.training = training
    self.layout = layout
    self.checkpoint = checkpoint
    self.output = output
  }

  /// The whole configuration as YAML, defaults included; parsing it gives an equal configuration.
  public var resolvedYAML: String { resolved.yaml() }

  /// The same keys and values as one JSON object on one line.
  public var resolvedJSON: String { resolved.json }

  private var resolved: ResolvedValue {
    var entries = ResolvedEntries()
    entries.add("model", model.resolved)
    entries.add("data", data.resolved)
    entries.add("training", training.resolved)
    entries.add("layout", layout.resolved)
    entries.add("checkpoint", checkpoint.resolved)
    entries.add("output", output.resolved)
    return .mapping(entries)
  }

  /// Checks what could not be checked before the model's shape was known: with `model.from`, the sequence
  /// length and the vocabulary against the folder's shape; with a tokenizer file, the vocabulary.
  ///
  /// - Parameters:
  ///   - shape: the final shape; its vocabulary must not be 0.
  ///   - tokenizerVocabularySize: how many tokens the tokenizer has.
  public func check(
    shape: ModelConfiguration, tokenizerVocabularySize: Int
  ) throws(ConfigurationError) {
    var problems: [Problem] = []
    if training.sequenceLength > shape.maximumSequenceLength {
      problems.append(
        Problem(
          key: "training.sequence_length",
          message: "\(training.sequenceLength) exceeds the model's maximum \(shape.maximumSequenceLength)",
          remedy: "use at most \(shape.maximumSequenceLength)"))
    }
    if training.dropout > 0, shape.family == .llama {
      let problem = TrainingSection.dropoutProblem
      problems.append(
        Problem(key: "training.dropout", message: problem.message, remedy: problem.remedy))
    }
    if case .layers(let rules) = training.recomputation {
      for highest in rules.compactMap(\.layers.highest) where highest >= shape.layerCount {
        problems.append(
          Problem(
            key: "training.recomputation",
            message: "layer \(highest) does not exist: the model has \(shape.layerCount)",
            remedy: "name layers from 0 to \(shape.layerCount - 1)"))
      }
    }
    if let problem = shape.tensorDegreeProblem(layout.ranks.tensor) {
      problems.append(Problem(key: "layout.tensor", message: problem.message, remedy: problem.remedy))
    }
    if tokenizerVocabularySize > shape.vocabularySize {
      problems.append(
        Problem(
          key: "model.vocabulary_size",
          message: "the tokenizer's \(tokenizerVocabularySize) tokens exceed the model's vocabulary "
            + "\(shape.vocabularySize)",
          remedy: model.from == nil
            ? "use \(tokenizerVocabularySize) or more" : "use the folder's own tokenizer"))
    }
    if !problems.isEmpty { throw ConfigurationError(problems: problems) }
  }
}
