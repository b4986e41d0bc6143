import ApusCore
import Foundation

/// A tensor of a safetensors file that is about to be written.
package struct SafetensorsEntry: Hashable, Sendable {
  package var name: String
  package var type: SafetensorsType
  package var shape: [Int]

  package init(name: String, type: SafetensorsType, shape: [Int]) {
    self.name = name
    self.type = type
    self.shape = shape
  }

  package var byteCount: Int { shape.reduce(type.byteCount, *) }
}

/// Writes one safetensors file front to back: the header first, then the tensors' bytes as they come, so
/// that no copy of the model is held. Several files can be written at the same time by several threads.
///
/// Unless `finish` succeeds, the file is removed.
package struct SafetensorsWriter: ~Copyable {
  private let path: String
  private let descriptor: Int32
  private var checksum = StreamingChecksum()
  private let expectedBytes: Int
  private var writtenBytes = 0
  private var finished = false

  /// Bytes that are hashed and then written while they are still in the cache.
  private static let chunkBytes = 1 << 20

  /// Creates the file at `path` and writes the header; names must differ.
  package static func create(
    _ path: String, tensors: [SafetensorsEntry], metadata: [(String, String)] = []
  ) throws(CheckpointError) -> SafetensorsWriter {
    require(Set(tensors.map(\.name)).count == tensors.count, "\(path): two tensors of the same name")
    let header = SafetensorsHeader.encode(tensors, metadata: metadata)
    require(header.count - 8 <= SafetensorsHeader.longest, "\(path): a header of \(header.count) bytes")
    var writer = SafetensorsWriter(
      path: path, descriptor: try Disk.create(path),
      expectedBytes: header.count + tensors.reduce(0) { $0 + $1.byteCount })
    try writer.append(header: header)
    return writer
  }

  private init(path: String, descriptor: Int32, expectedBytes: Int) {
    self.path = path
    self.descriptor = descriptor
    self.expectedBytes = expectedBytes
  }

  private mutating func append(header: [UInt8]) throws(CheckpointError) {
    let bytes = UnsafeMutableRawBufferPointer.allocate(byteCount: header.count, alignment: 8)
    defer { bytes.deallocate() }
    bytes.copyBytes(from: header)
    try append(UnsafeRawBufferPointer(bytes))
  }

  deinit {
    close(descriptor)
    if !finished { unlink(path) }
  }

  /// Bytes that a file with these tensors takes.
  package static func fileBytes(_ tensors: [SafetensorsEntry], metadata: [(String, String)] = []) -> Int {
    SafetensorsHeader.encode(tensors, metadata: metadata).count + tensors.reduce(0) { $0 + $1.byteCount }
  }

  /// Writes the next bytes of the data; tensors follow in the order given, in as many parts as you like.
  package mutating func append(_ bytes: UnsafeRawBufferPointer) throws(CheckpointError) {
    writtenBytes += bytes.count
    require(writtenBytes <= expectedBytes, "\(path): \(writtenBytes) bytes for a file of \(expectedBytes)")
    var start = 0
    while start < bytes.count {
      let end = min(start + SafetensorsWriter.chunkBytes, bytes.count)
      let chunk = UnsafeRawBufferPointer(rebasing: bytes[start..<end])
      checksum.update(chunk)
      try Disk.write(chunk, to: descriptor, path: path)
      start = end
    }
  }

  /// Waits until the file is on the disk and returns its size and checksum (XXH64, hexadecimal).
  package mutating func finish() throws(CheckpointError) -> (bytes: Int, checksum: String) {
    require(writtenBytes == expectedBytes, "\(path): \(writtenBytes) bytes of \(expectedBytes) were given")
    try Disk.synchronize(descriptor, path: path)
    finished = true
    return (writtenBytes, checksum.text)
  }
}
