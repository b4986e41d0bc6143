import Foundation

/// A file's bytes, mapped into memory for reading as long as this object lives.
///
/// `@unchecked Sendable` because the mapping is private, read-only and never changes.
package final class MappedFile: @unchecked Sendable {
  package let path: String
  package let bytes: UnsafeBufferPointer<UInt8>

  package init(path: String) throws(DataError) {
    self.path = path
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw Self.failure("cannot open the file", path) }
    defer { close(descriptor) }
    var status = stat()
    guard fstat(descriptor, &status) == 0 else { throw Self.failure("cannot read the file's size", path) }
    guard status.st_mode & S_IFMT == S_IFREG else {
      throw .file(path: path, problem: "not a regular file; name a file")
    }
    let count = Int(status.st_size)
    if count == 0 {
      bytes = UnsafeBufferPointer(start: nil, count: 0)
      return
    }
    let address = mmap(nil, count, PROT_READ, MAP_PRIVATE, descriptor, 0)
    guard let address, address != MAP_FAILED else { throw Self.failure("cannot map the file", path) }
    bytes = UnsafeBufferPointer(start: address.assumingMemoryBound(to: UInt8.self), count: count)
  }

  deinit {
    if let base = bytes.baseAddress { munmap(UnsafeMutableRawPointer(mutating: base), bytes.count) }
  }

  static func failure(_ what: String, _ path: String) -> DataError {
    .file(path: path, problem: "\(what): \(String(cString: strerror(errno)))")
  }
}
