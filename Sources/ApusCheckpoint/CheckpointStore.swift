import ApusCore
import Foundation
import Synchronization

/// The checkpoints of a run: folders `step-00000100` below one folder.
///
/// A checkpoint appears whole or not at all: it is written as `step-00000100.partial`, flushed, closed with a
/// manifest and renamed. Which one is the latest is not stored anywhere but found by looking. One process
/// at a time may write.
package struct CheckpointStore: Sendable {
  package let folder: URL
  /// How many checkpoints stay after a save; all if nil.
  package let keep: Int?

  package init(folder: URL, keep: Int? = nil) {
    require(keep.map { $0 >= 1 } ?? true, "a store that keeps \(keep ?? 0) checkpoints")
    self.folder = folder
    self.keep = keep
  }

  /// Creates the folder and removes what interrupted saves left there; call once before training.
  ///
  /// - Returns: the names of what was removed or restored.
  @discardableResult
  package func prepare() throws(CheckpointError) -> [String] {
    try Disk.createFolder(folder.path)
    var touched: [String] = []
    for name in try Disk.names(in: folder.path) where name.hasPrefix(CheckpointStore.prefix) {
      let path = folder.path + "/" + name
      if name.hasSuffix(CheckpointDraft.replacedSuffix) {
        // Between two renames the earlier checkpoint of the same step is the only one.
        let target = String(path.dropLast(CheckpointDraft.replacedSuffix.count))
        if Disk.exists(target) { try Disk.remove(path) } else { try Disk.rename(path, to: target) }
        touched.append(name)
      } else if name.hasSuffix(CheckpointDraft.suffix) {
        try Disk.remove(path)
        touched.append(name)
      }
    }
    return touched
  }

  /// Bytes that a checkpoint of these files takes on the disk, with an allowance for manifest and state.
  package static func bytesNeeded(_ files: [CheckpointFile]) -> Int {
    files.reduce(1 << 20) { $0 + $1.bytesNeeded + 1024 * $1.pieces.count }
  }

  /// Begins a checkpoint after a look at the free space; the draft's folder is empty.
  package func begin(step: Int, bytesNeeded: Int) throws(CheckpointError) -> CheckpointDraft {
    require(step >= 0, "a checkpoint of step \(step)")
    try Disk.createFolder(folder.path)
    try Disk.requireSpace(bytesNeeded, at: folder.path)
    let draft = CheckpointDraft(target: path(of: step), step: step)
    try draft.prepare()
    return draft
  }

  /// Saves a checkpoint, all files at the same time, and then removes the oldest beyond `keep`.
  ///
  /// On failure the partial checkpoint is removed and the earlier ones stay as they were.
  @discardableResult
  package func save<State: Encodable>(
    step: Int, files: [CheckpointFile], state: State
  ) throws(CheckpointError) -> CheckpointManifest {
    require(Set(files.map(\.name)).count == files.count, "two files of a checkpoint have the same name")
    var draft = try begin(step: step, bytesNeeded: CheckpointStore.bytesNeeded(files))
    let target = draft.folder
    let results = Mutex<[Result<WrittenFile, CheckpointError>?]>(files.map { _ in nil })
    DispatchQueue.concurrentPerform(iterations: files.count) { number in
      let result: Result<WrittenFile, CheckpointError>
      do throws(CheckpointError) {
        result = .success(try files[number].write(in: target))
      } catch {
        result = .failure(error)
      }
      results.withLock { $0[number] = result }
    }
    var written: [WrittenFile] = []
    for result in results.withLock({ $0 }) {
      require(result != nil, "a file of the checkpoint was not attempted")
      if let result { written.append(try result.get()) }
    }
    let manifest = try draft.commit(written, state: state)
    prune()
    return manifest
  }

  /// Removes the oldest checkpoints beyond `keep`; only those with a manifest count. A checkpoint that cannot
  /// be removed is left for the next time: the save that came before has succeeded.
  ///
  /// - Returns: the steps that were removed.
  @discardableResult
  package func prune() -> [Int] {
    guard let keep, let steps = try? steps() else { return [] }
    let complete = steps.filter { Disk.exists(path(of: $0) + "/" + CheckpointManifest.fileName) }
    return complete.dropLast(keep).filter { step in
      let doomed = path(of: step)
      // The name goes first, so that a crash half-way leaves a partial checkpoint and not a torn one.
      guard (try? Disk.rename(doomed, to: doomed + CheckpointDraft.suffix)) != nil else { return false }
      return (try? Disk.remove(doomed + CheckpointDraft.suffix)) != nil
    }
  }

  /// The steps that have a folder, in order, whatever state it is in. None if there is no folder yet.
  package func steps() throws(CheckpointError) -> [Int] {
    guard Disk.exists(folder.path) else { return [] }
    return try Disk.names(in: folder.path).compactMap { name in
      guard name.hasPrefix(CheckpointStore.prefix),
        let step = Int(name.dropFirst(CheckpointStore.prefix.count)),
        step >= 0, path(of: step).hasSuffix("/" + name)
      else { return nil }
      return step
    }.sorted()
  }

  /// The newest checkpoint that is complete and matches its checksums, and a word on each that was newer
  /// but is not; nil if there is none.
  package func latest() throws(CheckpointError) -> (checkpoint: CheckpointReader?, skipped: [String]) {
    var skipped: [String] = []
    for step in try steps().reversed() {
      do {
        return (try CheckpointReader(opening: url(of: step), verifying: true), skipped)
      } catch .tornCheckpoint(let path, let reason) {
        skipped.append(CheckpointError.tornCheckpoint(path: path, reason: reason).description)
      }
    }
    return (nil, skipped)
  }

  /// Opens the checkpoint of a step and compares its checksums.
  package func open(step: Int) throws(CheckpointError) -> CheckpointReader {
    let available = try steps()
    guard available.contains(step) else {
      throw .noSuchStep(step: step, folder: folder.path, available: available)
    }
    return try CheckpointReader(opening: url(of: step), verifying: true)
  }

  private static let prefix = "step-"

  private func path(of step: Int) -> String {
    let digits = String(step)
    let padded = String(repeating: "0", count: max(0, 8 - digits.count)) + digits
    return folder.path + "/" + CheckpointStore.prefix + padded
  }

  /// The folder of a step's checkpoint.
  package func url(of step: Int) -> URL { URL(fileURLWithPath: path(of: step), isDirectory: true) }
}
