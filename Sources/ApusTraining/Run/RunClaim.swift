import Foundation

/// The sole right to write in a run folder: a lock that the system lets go when the process ends, however it
/// ends.
package final class RunClaim {
  private let descriptor: Int32

  init(_ path: String, folder: String) throws(TrainingError) {
    descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o644)
    guard descriptor >= 0 else {
      throw .writing(path: path, reason: String(cString: strerror(errno)))
    }
    guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
      close(descriptor)
      throw .runFolder(
        path: folder, problem: "another apus train is running here; wait for it or give another output.folder"
      )
    }
  }

  /// Writes a line into the lock's file, for other ranks to see that it is the same one.
  func mark(_ line: String) {
    let bytes = Array(line.utf8)
    _ = ftruncate(descriptor, 0)
    _ = bytes.withUnsafeBytes { pwrite(descriptor, $0.baseAddress, $0.count, 0) }
    _ = fsync(descriptor)
  }

  deinit { close(descriptor) }
}
