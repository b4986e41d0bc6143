import ApusCore
import Foundation

/// What there is to say about one checkpoint without reading its numbers into memory.
package struct CheckpointSummary: Hashable, Sendable, Codable {
  package var step: Int
  package var path: String
  /// Why the checkpoint cannot be used, or nil if it can.
  package var damage: String?
  /// Bytes of all files that the manifest lists.
  package var bytes: Int
  package var fileCount: Int
  package var tensorCount: Int
  /// The tensors with their global shapes, in the order in which they were saved.
  package var tensors: [Tensor]
  /// The trainer's state as JSON text.
  package var state: String?

  package struct Tensor: Hashable, Sendable, Codable {
    package var name: String
    package var type: ElementType
    package var shape: [Int]
    /// In how many parts the tensor is stored.
    package var pieceCount: Int
  }

  /// Looks at the checkpoint in a folder; damage becomes a field, not an error.
  ///
  /// - Parameter verifying: also read every file and compare its checksum.
  package init(inspecting folder: URL, step: Int, verifying: Bool) throws(CheckpointError) {
    self.init(step: step, path: folder.path, bytes: 0, fileCount: 0, tensorCount: 0, tensors: [])
    do {
      let manifest = try CheckpointManifest(readingFrom: folder.path)
      bytes = manifest.files.reduce(0) { $0 &+ $1.bytes }
      fileCount = manifest.files.count
      tensorCount = manifest.tensors.count
      tensors = manifest.tensors.map {
        Tensor(name: $0.name, type: $0.type, shape: $0.shape, pieceCount: $0.pieces.count)
      }
      _ = try CheckpointReader(opening: folder, verifying: verifying)
      state = String(
        decoding: try Disk.read(folder.path + "/" + CheckpointManifest.stateFileName), as: UTF8.self)
    } catch .tornCheckpoint(_, let reason) {
      damage = reason
    }
  }

  private init(
    step: Int, path: String, bytes: Int, fileCount: Int, tensorCount: Int, tensors: [Tensor]
  ) {
    self.step = step
    self.path = path
    self.bytes = bytes
    self.fileCount = fileCount
    self.tensorCount = tensorCount
    self.tensors = tensors
  }
}

extension CheckpointStore {
  /// A summary of every checkpoint of the run, oldest first.
  package func inspect(verifying: Bool = true) throws(CheckpointError) -> [CheckpointSummary] {
    var result: [CheckpointSummary] = []
    for step in try steps() {
      result.append(try CheckpointSummary(inspecting: url(of: step), step: step, verifying: verifying))
    }
    return result
  }
}
