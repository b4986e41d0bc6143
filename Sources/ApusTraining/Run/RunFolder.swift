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

  /// What to do with a folder that already holds a run.
  package enum Start: Hashable, Sendable {
    /// The folder must not hold one.
    case fresh
    /// Its run is deleted first.
    case overwrite
    /// Its run goes on after the latest checkpoint.
    case resume
  }

  /// Makes the folder ready for `start`.
  package func prepare(_ start: Start) throws(TrainingError) {
    let manager = FileManager.default
    let holdsRun = manager.fileExists(atPath: configuration.path)
    var isFolder: ObjCBool = false
    let exists = manager.fileExists(atPath: url.path, isDirectory: &isFolder)
    if exists, !isFolder.boolValue {
      throw .runFolder(path: url.path, problem: "is a file; give another output.folder")
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
    case .overwrite where holdsRun:
      for item in [
        configuration, facts, tokenizer, data, metrics, checkpoints, tensorBoard, report, sample,
      ] where manager.fileExists(atPath: item.path) {
        do { try manager.removeItem(at: item) } catch {
          throw .writing(
            path: item.path, reason: "the old run cannot be removed (\(error.localizedDescription))")
        }
      }
    default: break
    }
    do { try manager.createDirectory(at: url, withIntermediateDirectories: true) } catch {
      throw .writing(path: url.path, reason: "the folder cannot be made; check the path and its permissions")
    }
  }

  /// Writes a small text file whole or not at all.
  package func write(_ text: String, to file: URL) throws(TrainingError) {
    do { try Data(text.utf8).write(to: file, options: .atomic) } catch {
      throw .writing(
        path: file.path, reason: "check free space and permissions (\(error.localizedDescription))")
    }
  }
}
