import ApusCore
import Foundation

/// A safetensors file, mapped into memory and checked once; reading a tensor then touches only its pages.
///
/// The file must not be cut short while it is open. Numbers are little endian, as on every machine that
/// Apus runs on.
package final class SafetensorsFile: Sendable {
  package let path: String
  /// The file's tensors by name.
  package let tensors: [String: TensorEntry]
  /// The free texts of the header, such as `format: pt`.
  package let metadata: [String: String]
  private let file: MappedFile

  /// Maps the file at `path` and checks its header against its size.
  package init(path: String) throws(CheckpointError) {
    self.path = path
    file = try MappedFile(path: path)
    do {
      let header = try file.withBytes { bytes throws(SafetensorsFault) in
        try SafetensorsHeader.parse(UnsafeRawBufferPointer(bytes))
      }
      tensors = header.tensors
      metadata = header.metadata
    } catch {
      throw .malformedTensorFile(path: path, fault: error)
    }
  }

  /// The entry of a tensor, or an error that names the file.
  package func entry(_ name: String) throws(CheckpointError) -> TensorEntry {
    guard let entry = tensors[name] else { throw .tensorNotFound(name: name, path: path) }
    return entry
  }

  /// Lends the bytes of a tensor, as stored, without a copy; not necessarily aligned to its element.
  package func withBytes<Result>(
    of name: String, _ body: (UnsafeRawBufferPointer) throws(CheckpointError) -> Result
  ) throws(CheckpointError) -> Result {
    let range = try entry(name).byteRange
    return try file.withBytes { bytes throws(CheckpointError) in
      try body(UnsafeRawBufferPointer(UnsafeBufferPointer(rebasing: bytes[range])))
    }
  }

  /// Reads elements of a tensor, in row-major order, as float32.
  ///
  /// F32 is copied, BF16 and F16 convert exactly, F64 rounds to nearest even.
  /// - Parameters:
  ///   - destination: room for as many numbers as `elements` has.
  ///   - elements: which elements; all if nil.
  package func read(
    _ name: String, into destination: UnsafeMutablePointer<Float>, elements: Range<Int>? = nil
  ) throws(CheckpointError) {
    let entry = try entry(name)
    let elements = elements ?? 0..<entry.elementCount
    guard elements.lowerBound >= 0, elements.upperBound <= entry.elementCount else {
      throw .outsideTensor(name: name, requested: "element range \(elements)", shape: entry.shape)
    }
    guard entry.type.isReadableAsFloat32 else {
      throw .unreadableType(name: name, type: entry.type.rawValue, path: path)
    }
    convertElements(of: entry, from: elements.lowerBound, count: elements.count, into: destination)
  }

  /// Reads the part of `request` that lies in `piece`, where this file's tensor `name` holds `piece`.
  ///
  /// - Parameter destination: room for the whole of `request`, row-major.
  func read(
    _ name: String, holding piece: Box, request: Box, into destination: UnsafeMutablePointer<Float>
  ) throws(CheckpointError) {
    let entry = try entry(name)
    guard entry.type.isReadableAsFloat32 else {
      throw .unreadableType(name: name, type: entry.type.rawValue, path: path)
    }
    require(entry.shape == piece.extents, "piece \(piece.extents) is stored with shape \(entry.shape)")
    piece.forEachRun(sharedWith: request) { pieceOffset, requestOffset, count in
      convertElements(of: entry, from: pieceOffset, count: count, into: destination + requestOffset)
    }
  }

  private func convertElements(
    of entry: TensorEntry, from first: Int, count: Int, into destination: UnsafeMutablePointer<Float>
  ) {
    file.withBytes { bytes in
      guard count > 0, let base = bytes.baseAddress else { return }
      let source = base + entry.byteRange.lowerBound + first * entry.type.byteCount
      let converted = convert(source, as: entry.type, count: count, into: destination)
      require(converted, "elements of type \(entry.type) were not checked before their conversion")
    }
  }
}
