import Foundation

/// A regular file's bytes, mapped into memory for reading as long as this object lives.
///
/// The file must not be cut short meanwhile. An empty file has no base address.
package final class MappedFile: Sendable {
  package let path: String
  // Safe to share between threads: the mapping is private, read-only and never changes.
  /// For owners of the file that outlive their use of its bytes; `withBytes` is for everybody else.
  nonisolated(unsafe) package let bytes: UnsafeBufferPointer<UInt8>

  package init(mapping path: String) throws(FileFault) {
    self.path = path
    // Without O_NONBLOCK opening a named pipe would wait for a writer.
    let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    guard descriptor >= 0 else { throw FileFault("open", path, code: errno) }
    defer { close(descriptor) }
    var status = stat()
    guard fstat(descriptor, &status) == 0 else { throw FileFault("examine", path, code: errno) }
    guard status.st_mode & S_IFMT == S_IFREG else {
      throw FileFault("open", path, reason: "it is not a regular file")
    }
    let count = Int(status.st_size)
    guard count > 0 else {
      bytes = UnsafeBufferPointer(start: nil, count: 0)
      return
    }
    let address = mmap(nil, count, PROT_READ, MAP_PRIVATE, descriptor, 0)
    guard let address, address != MAP_FAILED else { throw FileFault("map", path, code: errno) }
    bytes = UnsafeBufferPointer(start: address.assumingMemoryBound(to: UInt8.self), count: count)
  }

  deinit {
    if let base = bytes.baseAddress { munmap(UnsafeMutableRawPointer(mutating: base), bytes.count) }
  }

  /// Lends the bytes, and keeps the file mapped meanwhile though nobody else may hold it.
  package func withBytes<Result, Failure: Error>(
    _ body: (UnsafeBufferPointer<UInt8>) throws(Failure) -> Result
  ) throws(Failure) -> Result {
    defer { withExtendedLifetime(self) {} }
    return try body(bytes)
  }
}
