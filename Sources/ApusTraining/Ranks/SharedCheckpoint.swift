import ApusCheckpoint
import ApusCommunication
import Foundation

/// A checkpoint that all ranks write together, each a file of its own; the first rank writes the manifest last.
struct SharedCheckpoint {
  let store: CheckpointStore
  let place: RankPlace

  /// Saves this rank's pieces; all ranks call it. When any rank cannot write, all throw and the earlier checkpoints
  /// stay as they were.
  func save(step: Int, pieces: [CheckpointPiece], state: CheckpointState) throws {
    let file = CheckpointFile(name: Self.fileName(place.world.rank), pieces: pieces)
    guard !place.isAlone else {
      try store.save(step: step, files: [file], state: state)
      return
    }
    let status = place.world.status
    try status.onErrand("writing the checkpoint of step \(step)") { try saveTogether(step, file, state) }
  }

  private func saveTogether(_ step: Int, _ file: CheckpointFile, _ state: CheckpointState) throws {
    let control = place.world.control
    let bytes = try control.allReduce([Double(CheckpointStore.bytesNeeded([file]))], label: "checkpoint size")
    if place.isFirst {
      var draft = try store.begin(step: step, bytesNeeded: Int(bytes[0]))
      _ = try control.broadcast(bytes: Array(draft.folder.utf8), label: "checkpoint folder")
      let written = try exchange(file.write(in: draft.folder))
      _ = try draft.commit(written, state: state)
      store.prune()
    } else {
      let folder = try control.broadcast(bytes: [], label: "checkpoint folder")
      _ = try exchange(file.write(in: String(decoding: folder, as: UTF8.self)))
    }
    try control.barrier(label: "checkpoint of step \(step)")
  }

  /// What every rank has written, in order of rank.
  private func exchange(_ own: WrittenFile) throws -> [WrittenFile] {
    let encoded = Array(try JSONEncoder().encode(own))
    return try place.world.control.allGather(bytes: encoded, label: "checkpoint files").map {
      try JSONDecoder().decode(WrittenFile.self, from: Data($0))
    }
  }

  /// `rank-00003`.
  private static func fileName(_ rank: Int) -> String {
    "rank-" + String(repeating: "0", count: max(0, 5 - "\(rank)".count)) + "\(rank)"
  }
}
