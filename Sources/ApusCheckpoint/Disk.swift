import ApusCore
import Foundation

/// The operating system's file calls with typed errors that carry its words.
enum Disk {
  /// The error of the call that just failed.
  static func failure(_ action: String, _ path: String) -> CheckpointError {
    let code = errno
    return .system(action: action, path: path, reason: "\(String(cString: strerror(code))) (errno \(code))")
  }

  /// Maps a regular file for reading.
  static func map(_ path: String) throws(CheckpointError) -> UnsafeRawBufferPointer {
    let descriptor = Foundation.open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw failure("open", path) }
    defer { Foundation.close(descriptor) }
    var status = stat()
    guard fstat(descriptor, &status) == 0 else { throw failure("examine", path) }
    guard status.st_mode & S_IFMT == S_IFREG else {
      throw .system(action: "open", path: path, reason: "it is not a regular file")
    }
    guard status.st_size > 0 else { return UnsafeRawBufferPointer(start: nil, count: 0) }
    let size = Int(status.st_size)
    guard let address = mmap(nil, size, PROT_READ, MAP_PRIVATE, descriptor, 0), address != MAP_FAILED else {
      throw failure("map", path)
    }
    return UnsafeRawBufferPointer(start: address, count: size)
  }

  /// Undoes `map`.
  static func unmap(_ mapping: UnsafeRawBufferPointer) {
    if let address = mapping.baseAddress {
      munmap(UnsafeMutableRawPointer(mutating: address), mapping.count)
    }
  }

  /// Creates or empties a file for writing.
  static func create(_ path: String) throws(CheckpointError) -> Int32 {
    let descriptor = Foundation.open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
    guard descriptor >= 0 else { throw failure("create", path) }
    return descriptor
  }

  /// Writes all of `bytes`, going on after short writes and interruptions.
  static func write(
    _ bytes: UnsafeRawBufferPointer, to descriptor: Int32, path: String
  ) throws(CheckpointError) {
    var rest = bytes
    while !rest.isEmpty {
      let written = Foundation.write(descriptor, rest.baseAddress, rest.count)
      if written < 0 {
        if errno == EINTR { continue }
        throw failure("write", path)
      }
      rest = UnsafeRawBufferPointer(rebasing: rest.dropFirst(written))
    }
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
    let mapping = try map(path)
    defer { unmap(mapping) }
    return Array(mapping)
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
