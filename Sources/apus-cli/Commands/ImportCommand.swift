import ApusCheckpoint
import ApusCore
import ApusData
import ApusModels
import ApusTraining
import Foundation

/// `apus import HF_FOLDER --output FOLDER`
enum ImportCommand: Command {
  static let entry = CommandEntry.command(Self.self)
  static let name = "import"
  static let summary = "Make a checkpoint of a Hugging Face folder, to train or generate from."
  static let arguments = ArgumentsSpecification(
    positionals: [
      Positional("HF_FOLDER", help: "A folder with config.json and model.safetensors (or its shards).")
    ],
    options: [
      .value("output", "FOLDER", help: "The folder to write, laid out like a run."),
      .flag("json", help: "Print the tensors as JSON."),
    ])

  static func run(_ arguments: ParsedArguments) throws {
    let path = arguments.required("HF_FOLDER")
    let place = try OutputPlace(arguments.needed("output", example: "imported"), .folder)
    guard FileManager.default.fileExists(atPath: path) else {
      throw CommandError.input(path: path, problem: "does not exist; name a Hugging Face folder")
    }
    let source = try HuggingFaceFolder(opening: URL(fileURLWithPath: path))
    let fingerprint = try checkedTokenizer(source)?.fingerprint ?? ""
    let tensors = try source.tensors.map { tensor throws(CheckpointError) in
      TensorFacts(
        name: tensor.name, type: try source.storedType(of: tensor.name).rawValue, shape: tensor.shape)
    }

    var aside = try AsideFolder(for: place)
    let folder = RunFolder(aside.url)
    try WeightImport(source).write(
      to: CheckpointStore(folder: folder.checkpoints),
      state: CheckpointState(
        step: 0, tokensSeen: 0, model: source.configuration, seed: 0, configurationYAML: "",
        tokenizerFingerprint: fingerprint))
    let description = ModelDescription(model: source.configuration, specialTokens: source.specialTokens)
    try folder.write(
      String(decoding: try description.json, as: UTF8.self),
      to: aside.url.appendingPathComponent(ModelDescription.fileName))
    if let tokenizer = source.tokenizerFile {
      try aside.copy(tokenizer, as: folder.tokenizer.lastPathComponent)
    }
    try aside.finish()
    try report(source, tensors, place, asJSON: arguments.flag("json"))
  }

  /// The folder's tokenizer, known to be one that Apus follows and no larger than the model's vocabulary.
  private static func checkedTokenizer(_ source: HuggingFaceFolder) throws -> Tokenizer? {
    guard let file = source.tokenizerFile else { return nil }
    let tokenizer: Tokenizer
    do { tokenizer = try Tokenizer(contentsOf: file) } catch {
      throw CommandError.unusableTokenizer(error.description)
    }
    guard tokenizer.vocabularySize <= source.configuration.vocabularySize else {
      throw CommandError.unusableTokenizer(
        "\(file.path): has \(tokenizer.vocabularySize.grouped) tokens, more than the model's vocabulary of "
          + source.configuration.vocabularySize.grouped)
    }
    return tokenizer
  }

  private static func report(
    _ source: HuggingFaceFolder, _ tensors: [TensorFacts], _ place: OutputPlace, asJSON: Bool
  ) throws {
    var listing = TensorListing()
    for tensor in tensors { listing.add(tensor.name, shape: tensor.shape, type: tensor.type) }
    if asJSON {
      return try StandardOutput.write(
        json: Result(
          output: place.path, parameters: listing.elementCount, model: source.configuration,
          hasTokenizer: source.tokenizerFile != nil, tensors: tensors))
    }
    let without =
      source.tokenizerFile == nil ? "; the folder has no tokenizer.json, so text needs another" : ""
    try StandardOutput.write(
      """
      \(listing)
      \(listing.elementCount.grouped) parameters in \(counted(listing.tensorCount, "tensor")), \
      \(source.configuration.family.rawValue)
      wrote \(place.path)\(without)

      """)
  }

  private struct Result: Encodable {
    let output: String
    let parameters: Int
    let model: ModelConfiguration
    let hasTokenizer: Bool
    let tensors: [TensorFacts]
  }
}
