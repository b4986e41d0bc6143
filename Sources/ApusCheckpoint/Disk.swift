import ApusCore
import Foundation

/// The operating system's file calls with typed errors that carry its words.
enum Disk {
  /// The error of the call that just failed.
  static func failure(_ action: String, _ path: String) -> CheckpointError {
    CheckpointError(FileFault(action, path, code: errno))
  }

  /// Creates or empties a file for writing.
  static func create(_ path: String) throws(CheckpointError) -> Int32 {
    let descriptor = Foundation.open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
    guard descriptor >= 0 else { throw failure("create", path) }
    return descriptor
  }

  /// Writes all of `bytes`.
  static func write(
    _ bytes: UnsafeRawBufferPointer, to descriptor: Int32, path: String
  ) throws(CheckpointError) {
    let code = writeAll(bytes, to: descriptor)
    guard code == 0 else { throw CheckpointError(FileFault("write", path, code: code)) }
  }

  /// Waits until the file's bytes are on the disk.
  static func synchronize(_ descriptor: Int32, path: String) throws(CheckpointError) {
    guard fsync(descriptor) == 0 else { throw failure("flush", path) }
  }

  /// Writes a small file whole and waits until it is on the disk.
  static func writeFile(_ contents: [UInt8], to path: String) throws(CheckpointError) {
    let descriptor = try create(path)
    defer { close(descriptor) }
    try contents.withUnsafeBufferPointer { bytes throws(CheckpointError) in
      try write(UnsafeRawBufferPointer(bytes), to: descriptor, path: path)
    }
    try synchronize(descriptor, path: path)
  }

  /// Waits until the names in a folder are on the disk.
  static func synchronizeFolder(_ path: String) throws(CheckpointError) {
    let descriptor = Foundation.open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard descriptor >= 0 else { throw failure("open", path) }
    defer { close(descriptor) }
    try synchronize(descriptor, path: path)
  }

  static func rename(_ source: String, to target: String) throws(CheckpointError) {
    guard Foundation.rename(source, target) == 0 else { throw failure("rename \(source) to", target) }
  }

  /// Creates a folder and those above it; content to find it there.
  static func createFolder(_ path: String) throws(CheckpointError) {
    do {
      try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    } catch {
      throw .system(action: "create folder", path: path, reason: words(of: error))
    }
  }

  /// Removes a file or a folder with everything in it.
  static func remove(_ path: String) throws(CheckpointError) {
    do {
      try FileManager.default.removeItem(atPath: path)
    } catch {
      throw .system(action: "remove", path: path, reason: words(of: error))
    }
  }

  /// The names in a folder, sorted.
  static func names(in path: String) throws(CheckpointError) -> [String] {
    do {
      return try FileManager.default.contentsOfDirectory(atPath: path).sorted()
    } catch {
      throw .system(action: "list", path: path, reason: words(of: error))
    }
  }

  static func exists(_ path: String) -> Bool { access(path, F_OK) == 0 }

  /// The bytes of a small file.
  static func read(_ path: String) throws(CheckpointError) -> [UInt8] {
    try MappedFile(path: path).withBytes { Array($0) }
  }

  /// Throws if the disk that holds `path`, an existing folder, has less than `needed` bytes for us.
  static func requireSpace(_ needed: Int, at path: String) throws(CheckpointError) {
    var status = statvfs()
    guard statvfs(path, &status) == 0 else { throw failure("examine the disk of", path) }
    let product = Int(status.f_bavail).multipliedReportingOverflow(by: Int(status.f_frsize))
    let free = product.overflow ? Int.max : product.partialValue
    guard needed <= free else {
      throw .insufficientSpace(path: path, needed: ByteCount(needed), free: ByteCount(free))
    }
  }

  /// The system's words if a Foundation error carries them.
  private static func words(of error: any Error) -> String {
    let error = error as NSError
    let cause = error.userInfo[NSUnderlyingErrorKey] as? NSError ?? error
    return cause.domain == NSPOSIXErrorDomain
      ? "\(String(cString: strerror(Int32(cause.code)))) (errno \(cause.code))" : error.localizedDescription
  }
}

extension CheckpointError {
  /// The error that says what the operating system refused, with its number.
  init(_ fault: FileFault) {
    let number = fault.code == 0 ? "" : " (errno \(fault.code))"
    self = .system(action: fault.action, path: fault.path, reason: fault.reason + number)
  }
}

extension MappedFile {
  /// Maps a file with our error.
  convenience init(path: String) throws(CheckpointError) {
    do { try self.init(mapping: path) } catch { throw CheckpointError(error) }
  }
}
