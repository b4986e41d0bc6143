import ApusCheckpoint
import Foundation

/// A run is a folder: resolved configuration, command and versions, tokenizer, data, metrics, checkpoints,
/// TensorBoard events, report.
package struct RunFolder: Sendable {
  package let url: URL

  package init(_ url: URL) { self.url = url }

  package var configuration: URL { url.appendingPathComponent("configuration.yaml") }
  package var facts: URL { url.appendingPathComponent("run.json") }
  package var tokenizer: URL { url.appendingPathComponent("tokenizer.json") }
  package var data: URL { url.appendingPathComponent("data") }
  package var metrics: URL { url.appendingPathComponent("metrics.jsonl") }
  package var checkpoints: URL { url.appendingPathComponent("checkpoints") }
  package var tensorBoard: URL { url.appendingPathComponent("tensorboard") }
  package var report: URL { url.appendingPathComponent("report.html") }
  package var sample: URL { url.appendingPathComponent("sample.txt") }
  var lock: URL { url.appendingPathComponent("lock") }

  /// What to do with a folder that already holds a run.
  package enum Start: Hashable, Sendable {
    /// The folder must not hold one.
    case fresh
    /// Its run is deleted first.
    case overwrite
    /// Its run goes on after the latest checkpoint.
    case resume
  }

  /// Claims the folder for this process and makes it ready for `start`.
  package func prepare(_ start: Start) throws(TrainingError) -> RunClaim {
    let manager = FileManager.default
    let holdsRun = manager.fileExists(atPath: facts.path)
    var isFolder: ObjCBool = false
    let exists = manager.fileExists(atPath: url.path, isDirectory: &isFolder)
    if exists, !isFolder.boolValue {
      throw .runFolder(path: url.path, problem: "is a file; give another output.folder")
    }
    if !holdsRun, manager.fileExists(atPath: configuration.path) {
      throw .runFolder(
        path: url.path, problem: "holds a configuration.yaml that no run wrote; give another output.folder")
    }
    switch start {
    case .fresh where holdsRun:
      throw .runFolder(
        path: url.path,
        problem:
          "already holds a run; continue it with --resume, delete it with --overwrite, or give another "
          + "output.folder")
    case .resume where !holdsRun:
      throw .runFolder(path: url.path, problem: "holds no run to resume; start one without --resume")
    default: break
    }
    let claim = try claim()
    guard start == .overwrite, holdsRun else { return claim }
    for item in ownItems where manager.fileExists(atPath: item.path) {
      do { try manager.removeItem(at: item) } catch {
        throw .writing(
          path: item.path, reason: "the old run cannot be removed (\(error.localizedDescription))")
      }
    }
    return claim
  }

  /// What a run wrote here, and nothing of anybody else's.
  private var ownItems: [URL] {
    func children(_ folder: URL, _ prefix: String) -> [URL] {
      let names = (try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? []
      return names.filter { $0.hasPrefix(prefix) }.map { folder.appendingPathComponent($0) }
    }
    return children(data, "source-") + children(tensorBoard, "events.out.tfevents")
      + children(checkpoints, "step-")
      + [configuration, tokenizer, metrics, report, sample, facts]
  }

  /// Whether `path` lies in this folder or is it.
  func contains(_ path: String) -> Bool {
    let (inner, outer) = (
      URL(fileURLWithPath: path).standardizedFileURL.pathComponents, url.standardizedFileURL.pathComponents
    )
    return inner.starts(with: outer)
  }

  /// Claims the folder for this process until the claim is let go.
  package func claim() throws(TrainingError) -> RunClaim {
    do { try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true) } catch {
      throw .writing(path: url.path, reason: "the folder cannot be made; check the path and its permissions")
    }
    return try RunClaim(lock.path, folder: url.path)
  }

  /// Writes `run.json`.
  func write(_ facts: RunFacts) throws {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
    encoder.keyEncodingStrategy = .convertToSnakeCase
    try write(String(decoding: try encoder.encode(facts), as: UTF8.self) + "\n", to: self.facts)
  }

  /// What `run.json` says; nil where it cannot be read.
  package var recordedFacts: RunFacts? {
    let decoder = JSONDecoder()
    decoder.keyDecodingStrategy = .convertFromSnakeCase
    return (try? Data(contentsOf: facts)).flatMap { try? decoder.decode(RunFacts.self, from: $0) }
  }

  /// Writes a run's step into its `run.json`; the rest stays as it was when the run began.
  func rewrite(step: StepComparison) throws {
    guard var facts = recordedFacts else { return }
    facts.step = step
    try write(facts)
  }

  /// Writes a small text file whole or not at all.
  package func write(_ text: String, to file: URL) throws(TrainingError) {
    do { try Data(text.utf8).write(to: file, options: .atomic) } catch {
      throw .writing(
        path: file.path, reason: "check free space and permissions (\(error.localizedDescription))")
    }
  }
}
