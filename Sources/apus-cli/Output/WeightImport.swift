import ApusCheckpoint
import ApusCore
import ApusTraining

/// Copies a folder's weights into a checkpoint, a few tensors at a time, as float32.
struct WeightImport {
  private let source: HuggingFaceFolder
  /// Bytes of a file, and so of memory, unless one tensor alone has more.
  private static let fileBytes = 256 << 20

  init(_ source: HuggingFaceFolder) { self.source = source }

  /// Writes the checkpoint of step 0.
  func write(to store: CheckpointStore, state: CheckpointState) throws(CheckpointError) {
    let bytes = source.tensors.reduce(1 << 20) { $0 + 4 * $1.elementCount + 1024 }
    var draft = try store.begin(step: state.step, bytesNeeded: bytes)
    var written: [WrittenFile] = []
    for (number, tensors) in groups.enumerated() {
      let name = "weights-" + String(repeating: "0", count: max(0, 5 - String(number).count)) + String(number)
      let pieces = try tensors.map(piece)
      written.append(try CheckpointFile(name: name, pieces: pieces).write(in: draft.folder))
    }
    _ = try draft.commit(written, state: state)
  }

  /// The tensors in their order, divided by size.
  private var groups: [[ExchangeTensor]] {
    var groups: [[ExchangeTensor]] = [[]]
    var filled = 0
    for tensor in source.tensors {
      let bytes = 4 * tensor.elementCount
      if filled > 0, filled + bytes > Self.fileBytes {
        groups.append([])
        filled = 0
      }
      groups[groups.count - 1].append(tensor)
      filled += bytes
    }
    return groups
  }

  private func piece(_ tensor: ExchangeTensor) throws(CheckpointError) -> CheckpointPiece {
    let memory = Memory(count: tensor.elementCount)
    try source.read(tensor.name, into: memory.floats.baseAddress!)
    return CheckpointPiece(
      tensor: tensor.name, type: .float32, globalShape: tensor.shape,
      bytes: UnsafeRawBufferPointer(memory.floats), owner: memory)
  }

  /// Numbers that live as long as the piece that holds them.
  private final class Memory {
    let floats: UnsafeMutableBufferPointer<Float>

    init(count: Int) { floats = .allocate(capacity: count) }

    deinit { floats.deallocate() }
  }
}
