import ApusCore
import Foundation

/// An open file that only grows; closed when its owner goes.
struct AppendedFile: ~Copyable {
  let path: String
  private let descriptor: Int32

  /// Opens a file for writing, created where it is missing, and cuts it to a number of bytes.
  static func open(path: String, keeping byteCount: Int) throws(ReportError) -> AppendedFile {
    let file = try AppendedFile(path: path, flags: O_WRONLY | O_CREAT | O_CLOEXEC | O_APPEND)
    guard ftruncate(file.descriptor, off_t(byteCount)) == 0 else {
      throw .system(action: "truncate", path: path, code: errno)
    }
    return file
  }

  /// Opens a file that must not be there yet; `nil` where it is.
  static func create(path: String) throws(ReportError) -> AppendedFile? {
    do {
      return try AppendedFile(path: path, flags: O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_APPEND)
    } catch ReportError.system(_, _, code: EEXIST) {
      return nil
    }
  }

  private init(path: String, flags: Int32) throws(ReportError) {
    let descriptor = Glibc.open(path, flags, 0o644)
    guard descriptor >= 0 else { throw .system(action: "open", path: path, code: errno) }
    self.descriptor = descriptor
    self.path = path
  }

  deinit { close(descriptor) }

  /// Hands the bytes to the operating system before it returns.
  func append(_ bytes: [UInt8]) throws(ReportError) {
    let code = bytes.withUnsafeBytes { writeAll($0, to: descriptor) }
    guard code == 0 else { throw .system(action: "write to", path: path, code: code) }
  }
}
