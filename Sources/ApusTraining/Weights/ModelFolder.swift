import ApusCheckpoint
import ApusModels
import Foundation

/// A folder that holds a model: a Hugging Face folder, a run of Apus, or one checkpoint of a run.
package struct ModelFolder {
  package let configuration: ModelConfiguration
  package let source: any TensorSource
  package let tokenizer: URL?
  /// What the weights are, for reports.
  package let description: String

  /// Opens `path`; `step` picks a checkpoint of a run, the latest that is whole by default.
  ///
  /// - Parameter warn: told about each newer checkpoint that is damaged.
  package init(_ path: String, step: Int? = nil, warn: (String) -> Void) throws {
    let url = URL(fileURLWithPath: path)
    let manager = FileManager.default
    func holds(_ name: String) -> Bool { manager.fileExists(atPath: url.appendingPathComponent(name).path) }
    guard manager.fileExists(atPath: url.path) else {
      throw TrainingError.noModel(path: path, problem: "does not exist")
    }
    if holds("config.json") {
      guard step == nil else {
        throw TrainingError.noModel(path: path, problem: "is a Hugging Face folder, which has no steps")
      }
      let folder = try HuggingFaceFolder(opening: url)
      self.init(
        configuration: folder.configuration, source: folder, tokenizer: folder.tokenizerFile,
        description: path)
    } else if holds("manifest.json") {
      let reader = try CheckpointReader(opening: url, verifying: true)
      let run = url.deletingLastPathComponent().deletingLastPathComponent()
      try self.init(reader, run: RunFolder(run), path: path)
    } else if holds("checkpoints") {
      let run = RunFolder(url)
      let store = CheckpointStore(folder: run.checkpoints)
      if let step {
        try self.init(try store.open(step: step), run: run, path: path)
        return
      }
      let (latest, skipped) = try store.latest()
      skipped.forEach(warn)
      guard let latest else {
        throw TrainingError.noModel(path: path, problem: "holds no complete checkpoint")
      }
      try self.init(latest, run: run, path: path)
    } else {
      throw TrainingError.noModel(
        path: path,
        problem:
          "holds no model: neither config.json (Hugging Face) nor checkpoints/ (a run) nor manifest.json "
          + "(a checkpoint)")
    }
  }

  private init(
    configuration: ModelConfiguration, source: any TensorSource, tokenizer: URL?, description: String
  ) {
    self.configuration = configuration
    self.source = source
    self.tokenizer = tokenizer
    self.description = description
  }

  private init(_ reader: CheckpointReader, run: RunFolder, path: String) throws {
    self.init(
      configuration: try reader.state(as: CheckpointState.self).model, source: reader,
      tokenizer: FileManager.default.fileExists(atPath: run.tokenizer.path) ? run.tokenizer : nil,
      description: "\(path), step \(reader.step)")
  }
}
