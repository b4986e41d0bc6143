import ApusCore

/// What a checkpoint consists of; written last, so that its presence says that all else is there.
///
/// Tensors are recorded in global coordinates: whatever layout wrote the pieces, any other can read slices.
package struct CheckpointManifest: Hashable, Sendable, Codable {
  /// The format that this version writes, and the latest that it reads.
  package static let currentVersion = 1
  package static let fileName = "manifest.json"
  /// Holds the manifest's own checksum.
  package static let checksumFileName = "manifest.json.\(StreamingChecksum.algorithm)"
  /// Holds the trainer's state.
  package static let stateFileName = "state.json"

  package var formatVersion: Int
  package var step: Int
  /// The algorithm of all checksums: `xxh64`, in hexadecimal.
  package var checksumAlgorithm: String
  /// Every file but the manifest and its checksum, the state included.
  package var files: [FileRecord]
  package var tensors: [TensorRecord]

  /// A file's name, size and checksum.
  package struct FileRecord: Hashable, Sendable, Codable {
    package var name: String
    package var bytes: Int
    package var checksum: String
  }

  /// A tensor, and where its parts are.
  package struct TensorRecord: Hashable, Sendable, Codable {
    package var name: String
    package var type: ElementType
    /// The global shape.
    package var shape: [Int]
    package var pieces: [PieceRecord]
  }

  /// A part of a tensor: the entry of a safetensors file with shape `extents`, whose first element has the
  /// global coordinates `start`.
  package struct PieceRecord: Hashable, Sendable, Codable {
    package var file: String
    package var entry: String
    package var start: [Int]
    package var extents: [Int]

    /// The part as a box.
    package var box: Box { Box(start: start, extents: extents) }
  }
}

extension CheckpointManifest.TensorRecord {
  /// Throws unless the pieces lie in the tensor, are disjoint and leave nothing out.
  func checkCoverage() throws(CheckpointError) {
    var covered = 0
    for piece in pieces {
      guard piece.start.count == piece.extents.count, piece.box.fits(shape) else {
        throw .incompleteTensor(
          name: name, problem: "the piece at \(piece.start) of \(piece.extents) is not inside \(shape)")
      }
      // Wrapping: a sum that overflows belongs to pieces that overlap, which the next loop finds.
      covered &+= piece.box.volume
    }
    // In order of the first dimension a piece can only overlap with those that begin before it ends, which
    // keeps thousands of row pieces cheap.
    let inOrder = pieces.sorted { ($0.start.first ?? 0) < ($1.start.first ?? 0) }
    for (number, piece) in inOrder.enumerated() {
      let end = (piece.start.first ?? 0) + (piece.extents.first ?? 1)
      for other in inOrder[(number + 1)...] {
        if (other.start.first ?? 0) >= end { break }
        guard other.box.intersection(piece.box) == nil else {
          throw .incompleteTensor(
            name: name,
            problem: "the pieces at \(piece.start) of \(piece.extents) and at \(other.start) of "
              + "\(other.extents) overlap")
        }
      }
    }
    let whole = shape.reduce(1, *)
    guard covered == whole else {
      throw .incompleteTensor(name: name, problem: "\(covered) of \(whole) elements are there")
    }
  }

  /// Whether sizes are non-negative and their product fits into 64 bits.
  var hasSoundShape: Bool {
    var product = type.byteCount
    for extent in shape {
      let next = product.multipliedReportingOverflow(by: extent)
      guard extent >= 0, !next.overflow else { return false }
      product = next.partialValue
    }
    return true
  }
}
