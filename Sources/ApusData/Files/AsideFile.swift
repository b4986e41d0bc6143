import Foundation

/// A file that is written under another name beside its place and moved there when complete, so that no
/// reader ever sees half of it. Dropping it unfinished removes what was written.
struct AsideFile: ~Copyable {
  private let path: String
  private let asidePath: String
  private var descriptor: Int32

  init(_ path: String) throws(DataError) {
    self.path = path
    asidePath = path + ".partial-\(getpid())"
    descriptor = open(asidePath, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
    guard descriptor >= 0 else { throw MappedFile.failure("cannot write the file", path) }
  }

  deinit {
    if descriptor >= 0 {
      close(descriptor)
      unlink(asidePath)
    }
  }

  /// Writes at the current position.
  func write(_ content: [UInt8]) throws(DataError) {
    let isWritten = content.withUnsafeBytes { bytes in
      var offset = 0
      while offset < bytes.count {
        let written = Foundation.write(descriptor, bytes.baseAddress! + offset, bytes.count - offset)
        if written < 0, errno == EINTR { continue }
        guard written > 0 else { return false }
        offset += written
      }
      return true
    }
    guard isWritten else { throw MappedFile.failure("cannot write the file", path) }
  }

  func seek(to offset: Int) throws(DataError) {
    guard lseek(descriptor, off_t(offset), SEEK_SET) == off_t(offset) else {
      throw MappedFile.failure("cannot write the file", path)
    }
  }

  /// Moves the finished file to its place.
  consuming func finish() throws(DataError) {
    let (path, asidePath) = (path, asidePath)
    let ok = fsync(descriptor) == 0 && rename(asidePath, path) == 0
    guard ok else { throw MappedFile.failure("cannot finish the file", path) }
    close(descriptor)
    descriptor = -1
  }

  /// Writes a whole file.
  static func write(_ content: [UInt8], to path: String) throws(DataError) {
    let file = try AsideFile(path)
    try file.write(content)
    try file.finish()
  }
}
