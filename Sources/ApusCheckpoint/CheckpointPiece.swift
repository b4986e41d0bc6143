import ApusCore

/// A part of a global tensor that a rank holds and wants in a checkpoint.
///
/// A part that several ranks hold in copies is given by one of them only.
package struct CheckpointPiece: Sendable {
  /// The tensor's name in the checkpoint, the same in every layout.
  package let tensor: String
  package let type: ElementType
  package let globalShape: [Int]
  /// The part of the tensor.
  package let box: Box
  // Safe to hand to another thread: it is only read, and whoever saves keeps it unchanged until then.
  nonisolated(unsafe) package let bytes: UnsafeRawBufferPointer
  /// Bytes from one row of the part to the next, a row being its last dimension.
  private let rowStride: Int
  // Safe to hand to another thread: it is held and let go, never used.
  nonisolated(unsafe) private let owner: AnyObject

  /// - Parameters:
  ///   - box: which part; all of the tensor if nil.
  ///   - bytes: the part's elements in row-major order; must stay unchanged until the save returns.
  ///   - rowStride: bytes from one row (the last dimension) to the next, where something lies between them.
  ///   - owner: what owns `bytes`. The piece holds it: in optimised code an owner may go after its last
  ///     mention, and the piece would be left with freed memory.
  package init(
    tensor: String, type: ElementType, globalShape: [Int], box: Box? = nil, bytes: UnsafeRawBufferPointer,
    rowStride: Int? = nil, owner: AnyObject
  ) {
    self.tensor = tensor
    self.type = type
    self.globalShape = globalShape
    self.box = box ?? Box(whole: globalShape)
    self.bytes = bytes
    self.owner = owner
    require(self.box.fits(globalShape), "piece \(self.box) of \(tensor), whose shape is \(globalShape)")
    let rowBytes = (self.box.extents.last ?? 1) * type.byteCount
    self.rowStride = rowStride ?? rowBytes
    let rows = rowBytes == 0 ? 0 : self.box.volume * type.byteCount / rowBytes
    require(
      bytes.count == (rows == 0 ? 0 : (rows - 1) * self.rowStride + rowBytes),
      "piece \(self.box) of \(tensor) (\(type)) was given \(bytes.count) bytes")
  }

  /// Gives the bytes of the part in order, in one portion or row by row.
  func forEachPortion<Failure: Error>(
    _ body: (UnsafeRawBufferPointer) throws(Failure) -> Void
  ) throws(Failure) {
    let rowBytes = (box.extents.last ?? 1) * type.byteCount
    if rowStride == rowBytes { return try body(bytes) }
    for start in stride(from: 0, to: bytes.count, by: rowStride) {
      try body(UnsafeRawBufferPointer(rebasing: bytes[start..<start + rowBytes]))
    }
  }

  /// The piece's entry in its file: the tensor's name, and where it starts unless it is the whole tensor.
  var entry: SafetensorsEntry {
    let isWhole = box == Box(whole: globalShape)
    let suffix = isWhole ? "" : "@" + box.start.map(String.init).joined(separator: ",")
    return SafetensorsEntry(name: tensor + suffix, type: SafetensorsType(type), shape: box.extents)
  }
}

/// The pieces that go into one file of a checkpoint; files are written at the same time.
package struct CheckpointFile: Sendable {
  /// The file's name without its ending, such as `rank-00000`.
  package var name: String
  package var pieces: [CheckpointPiece]

  package init(name: String, pieces: [CheckpointPiece]) {
    require(!name.isEmpty && !name.contains("/"), "\"\(name)\" is no name for a file")
    self.name = name
    self.pieces = pieces
  }

  var fileName: String { name + ".safetensors" }

  /// Bytes of the file, its header included.
  package var bytesNeeded: Int { SafetensorsWriter.fileBytes(pieces.map(\.entry)) }

  /// Writes and flushes the file in the folder of an unfinished checkpoint.
  ///
  /// A rank in another process calls this itself and sends the result to the one that commits.
  package func write(in folder: String) throws(CheckpointError) -> WrittenFile {
    var writer = try SafetensorsWriter.create(folder + "/" + fileName, tensors: pieces.map(\.entry))
    for piece in pieces {
      try piece.forEachPortion { portion throws(CheckpointError) in try writer.append(portion) }
    }
    let (bytes, checksum) = try writer.finish()
    return WrittenFile(
      record: CheckpointManifest.FileRecord(name: fileName, bytes: bytes, checksum: checksum),
      tensors: pieces.map {
        CheckpointManifest.TensorRecord(
          name: $0.tensor, type: $0.type, shape: $0.globalShape,
          pieces: [
            CheckpointManifest.PieceRecord(
              file: fileName, entry: $0.entry.name, start: $0.box.start, extents: $0.box.extents)
          ])
      })
  }
}

/// A file of an unfinished checkpoint and what it holds, for the manifest.
package struct WrittenFile: Hashable, Sendable, Codable {
  package var record: CheckpointManifest.FileRecord
  /// One record for each piece.
  package var tensors: [CheckpointManifest.TensorRecord]
}
