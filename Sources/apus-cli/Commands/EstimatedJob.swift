import ApusConfiguration
import ApusData
import ApusModels
import ApusProgram
import ApusRuntime
import ApusTraining
import Foundation

/// The training that a command line of `apus estimate` speaks of.
struct EstimatedJob {
  /// The preset or file as the user wrote it.
  let title: String
  /// With its final vocabulary.
  let shape: ModelConfiguration
  /// Of a rank of the layout; where a pipeline divides the model, of the whole model on one rank.
  let settings: TrainingProgramSettings
  /// Of a rank of the layout, for each device of its pipeline.
  let devices: [TrainingProgramSettings]
  let accumulation: Int
  /// As the configuration asks for it; `settings` say what it comes to.
  let recomputation: RecomputationRequest
  /// Of each rank.
  let threads: Int

  /// Reads the preset or file with its overrides.
  ///
  /// - Throws: every problem of the configuration, or what is wrong with the folder or tokenizer it names.
  init(_ arguments: ParsedArguments) throws {
    title = arguments.required("MODEL")
    var overrides = arguments.all("set")
    for (option, key) in [("micro-batch", "micro_batch_size"), ("sequence-length", "sequence_length")] {
      if let value = arguments.integer(option) { overrides.append("training.\(key)=\(value)") }
    }
    let configuration = try Self.configuration(title, overrides)
    let training = configuration.training
    let shape = try Self.shape(configuration)
    self.shape = shape
    try configuration.check(shape: shape, tokenizerVocabularySize: 0)
    let layout = configuration.layout.ranks
    accumulation = training.gradientAccumulation
    // As a run divides the cores whose ranks are all on this machine.
    let threads =
      training.threads > 0 ? training.threads : max(1, ArithmeticLibrary.defaultThreads / layout.worldSize)
    self.threads = threads
    recomputation = training.recomputation
    let workspace = CPUCatalogue(threads: threads).workspace
    devices = try (0..<layout.pipeline).map { device in
      try configuration.programSettings(for: shape, device: device, workspace: workspace)
    }
    guard layout.pipeline > 1 else {
      settings = devices[0]
      return
    }
    var alone = configuration
    alone.layout = LayoutSection()
    // A budget is one rank's; the whole model on one need not keep it.
    if case .budget = recomputation {
      alone.training.recomputation = .none
    }
    settings = try alone.programSettings(for: shape, workspace: workspace)
  }

  static func configuration(_ title: String, _ overrides: [String]) throws -> Configuration {
    if ModelPresets.named(title) != nil {
      // A preset says nothing about data and length of a training, and an estimate needs neither.
      let yaml = "model: {preset: \(title)}\ndata: {train: [corpus.txt]}\ntraining: {steps: 1}\n"
      return try Configuration.parse(yaml: yaml, name: title, overrides: overrides)
    }
    if !FileManager.default.fileExists(atPath: title), !title.contains("/"), !title.contains(".y") {
      let near = nearestName(to: title, in: ModelPresets.names).map { "did you mean \($0)? " } ?? ""
      throw UsageError(
        "\(title) is neither a preset nor a file; \(near)presets are \(ModelPresets.names.joined(separator: ", "))"
      )
    }
    return try Configuration.load(file: URL(fileURLWithPath: title), overrides: overrides)
  }

  /// The model's shape, from the configuration or the folder that it names, its vocabulary filled in.
  static func shape(_ configuration: Configuration) throws -> ModelConfiguration {
    if let folder = configuration.model.from {
      return try ModelFolder(folder, warn: StandardError.note).configuration
    }
    guard var shape = configuration.model.shape else {
      throw UsageError("the configuration has no model; write model.preset or its shape")
    }
    if shape.vocabularySize == 0 {
      let data = configuration.data
      shape.vocabularySize =
        try data.tokenizer.map { try Tokenizer(contentsOf: URL(fileURLWithPath: $0)).vocabularySize }
        ?? data.tokenizerVocabularySize
    }
    return shape
  }
}
