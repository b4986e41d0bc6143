import ApusCheckpoint
import ApusTraining
import Foundation

/// A run, a folder of checkpoints or a single checkpoint, as a command is given it.
struct CheckpointPlace {
  /// As the user wrote it.
  let path: String
  /// Where the run keeps its tokenizer.
  let run: RunFolder
  /// The run's checkpoints; nil for a single one.
  let store: CheckpointStore?
  private let url: URL

  init(_ path: String) throws(CommandError) {
    self.path = path
    url = URL(fileURLWithPath: path).standardizedFileURL
    let manager = FileManager.default
    guard manager.fileExists(atPath: url.path) else {
      throw .input(path: path, problem: "does not exist; name a run or one of its checkpoints")
    }
    let names = (try? manager.contentsOfDirectory(atPath: url.path)) ?? []
    if names.contains(CheckpointManifest.fileName) || url.lastPathComponent.hasPrefix("step-") {
      run = RunFolder(url.deletingLastPathComponent().deletingLastPathComponent())
      store = nil
    } else if names.contains("checkpoints") {
      run = RunFolder(url)
      store = CheckpointStore(folder: run.checkpoints)
    } else if names.contains(where: { $0.hasPrefix("step-") }) {
      run = RunFolder(url.deletingLastPathComponent())
      store = CheckpointStore(folder: url)
    } else {
      let what =
        names.contains("config.json")
        ? "is a Hugging Face folder; apus import makes a checkpoint of it"
        : "holds no checkpoints: neither checkpoints/ (a run) nor manifest.json (a checkpoint)"
      throw .input(path: path, problem: what)
    }
  }

  /// Refuses a step that is asked of a single checkpoint.
  func checkStep(_ step: Int?) throws(UsageError) {
    if store == nil, step != nil {
      throw UsageError("--step chooses among the checkpoints of a run, but \(path) is one checkpoint")
    }
  }

  /// Opens the single checkpoint, that of a step, or the newest that is whole, after comparing checksums.
  ///
  /// - Parameter warn: told about each newer one that is damaged.
  func open(step: Int?, warn: (String) -> Void) throws -> CheckpointReader {
    try checkStep(step)
    guard let store else { return try CheckpointReader(opening: url, verifying: true) }
    if let step { return try store.open(step: step) }
    let (checkpoint, skipped) = try store.latest()
    skipped.forEach(warn)
    guard let checkpoint else {
      let what = skipped.isEmpty ? "holds no checkpoint yet" : "holds no checkpoint that is whole"
      throw CommandError.input(path: path, problem: what)
    }
    return checkpoint
  }

  /// The steps that have a checkpoint, whole or not, with their folders; the one there is for a single one.
  func checkpoints() throws -> [(step: Int, folder: URL)] {
    if let store { return try store.steps().map { ($0, store.url(of: $0)) } }
    let step = Int(url.lastPathComponent.split(separator: "-").last ?? "")
    if let step { return [(step, url)] }
    return [(try CheckpointReader(opening: url, verifying: false).step, url)]
  }

  /// What interrupted saves left among the checkpoints; the next training of the run removes it.
  func leftovers() -> [String] {
    guard let store else { return [] }
    let names = (try? FileManager.default.contentsOfDirectory(atPath: store.folder.path)) ?? []
    return names.filter { $0.hasPrefix("step-") && ($0.hasSuffix(".partial") || $0.hasSuffix(".replaced")) }
      .sorted()
  }
}
