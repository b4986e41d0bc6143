import ApusCore
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
    guard descriptor >= 0 else { throw failure("write", errno) }
  }

  deinit {
    if descriptor >= 0 {
      close(descriptor)
      unlink(asidePath)
    }
  }

  /// Writes at the current position.
  func write(_ content: [UInt8]) throws(DataError) {
    let code = content.withUnsafeBytes { writeAll($0, to: descriptor) }
    guard code == 0 else { throw failure("write", code) }
  }

  private func failure(_ action: String, _ code: Int32) -> DataError {
    DataError(FileFault(action, path, code: code))
  }

  func seek(to offset: Int) throws(DataError) {
    guard lseek(descriptor, off_t(offset), SEEK_SET) == off_t(offset) else {
      throw failure("write", errno)
    }
  }

  /// Moves the finished file to its place.
  consuming func finish() throws(DataError) {
    let (path, asidePath) = (path, asidePath)
    let ok = fsync(descriptor) == 0 && rename(asidePath, path) == 0
    guard ok else { throw DataError(FileFault("finish", path, code: errno)) }
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
