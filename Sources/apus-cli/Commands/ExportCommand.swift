import ApusCheckpoint
import ApusCore
import ApusData
import ApusTraining
import Foundation

/// `apus export CHECKPOINT_OR_RUN --output HF_FOLDER`
enum ExportCommand: Command {
  static let entry = CommandEntry.command(Self.self)
  static let name = "export"
  static let summary = "Write a Hugging Face folder from a run or one of its checkpoints."
  static let arguments = ArgumentsSpecification(
    positionals: [Positional("RUN", help: "A run, or one checkpoint of it.")],
    options: [
      .value("output", "HF_FOLDER", help: "The folder to write, which transformers loads."),
      .value(
        "step", "N", .integer(0...Int.max), help: "Which checkpoint of the run; the newest when not given."),
      .value(
        "precision", "P", .choice(WeightType.allCases.map(\.rawValue)), default: "fp32",
        help: "Number format of the weights: fp32, or bf16, rounded to nearest even."),
      .value(
        "shard-size", "BYTES", .integer(1...Int.max), default: "\(HuggingFaceFolder.defaultShardBytes)",
        help: "Weights of more bytes are divided into files of at most this size."),
      .flag("json", help: "Print the numbers as JSON."),
    ])

  static func run(_ arguments: ParsedArguments) throws {
    let place = try OutputPlace(arguments.needed("output", example: "exported"), .folder)
    let run = try CheckpointPlace(arguments.required("RUN"))
    let checkpoint = try run.open(step: arguments.integer("step")) { warning in
      FileHandle.standardError.write(Data("apus: \(warning)\n".utf8))
    }
    let state = try checkpoint.state(as: CheckpointState.self)
    let tokenizer = try tokenizer(of: run, state)
    let description = try ModelDescription(run: run.run.url, of: state.model)
    try HuggingFaceFolder.write(
      to: place.url, configuration: state.model,
      specialTokens: description?.specialTokens ?? tokenizer.map(SpecialTokens.init) ?? SpecialTokens(),
      tokenizerFile: tokenizer == nil ? nil : run.run.tokenizer,
      as: arguments.choice("precision", WeightType.self) ?? .float32,
      shardBytes: arguments.integer("shard-size") ?? HuggingFaceFolder.defaultShardBytes, from: checkpoint)

    let files = try FileManager.default.contentsOfDirectory(atPath: place.path)
    let tensors = HuggingFaceNames.tensors(of: state.model)
    let result = Result(
      output: place.path, step: checkpoint.step, family: state.model.family.rawValue,
      parameters: tensors.reduce(0) { $0 + $1.elementCount }, tensors: tensors.count,
      precision: arguments.required("precision"),
      weightFiles: files.count { $0.hasSuffix(".safetensors") }, hasTokenizer: tokenizer != nil)
    if arguments.flag("json") {
      try StandardOutput.write(json: result)
    } else {
      try StandardOutput.write(result.text)
    }
  }

  /// The run's tokenizer, if it has one; it must be the one that the checkpoint was trained with.
  private static func tokenizer(of place: CheckpointPlace, _ state: CheckpointState) throws -> Tokenizer? {
    let file = place.run.tokenizer
    guard FileManager.default.fileExists(atPath: file.path) else { return nil }
    let tokenizer = try Tokenizer(contentsOf: file)
    guard state.tokenizerFingerprint.isEmpty || tokenizer.fingerprint == state.tokenizerFingerprint else {
      throw CommandError.input(
        path: file.path,
        problem: "has the fingerprint \(tokenizer.fingerprint), but the model was trained with "
          + "\(state.tokenizerFingerprint); put that tokenizer back")
    }
    return tokenizer
  }

  private struct Result: Encodable {
    let output: String
    let step: Int
    let family: String
    let parameters: Int
    let tensors: Int
    let precision: String
    let weightFiles: Int
    let hasTokenizer: Bool

    var text: String {
      let without = hasTokenizer ? "" : "; the run has no tokenizer.json to copy"
      return """
        step \(step): \(parameters.grouped) parameters in \(counted(tensors, "tensor")), \(family), \(precision)
        wrote \(output) with \(counted(weightFiles, "weight file"))\(without)

        """
    }
  }
}
