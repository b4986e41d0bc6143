import ApusCheckpoint
import ApusCore
import Foundation
import Testing

/// A small file system in memory, which only the superuser can mount.
final class SmallDisk {
  let scratch = Scratch()

  /// - Parameter options: of a tmpfs, such as `size=256k`.
  init?(options: String) {
    guard geteuid() == 0, SmallDisk.run("mount", ["-t", "tmpfs", "-o", options, "none", scratch.url.path])
    else {
      return nil
    }
  }

  deinit { _ = SmallDisk.run("umount", [scratch.url.path]) }

  private static func run(_ command: String, _ arguments: [String]) -> Bool {
    let process = Process()
    process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
    process.arguments = [command] + arguments
    process.standardError = FileHandle.nullDevice
    guard (try? process.run()) != nil else { return false }
    process.waitUntilExit()
    return process.terminationStatus == 0
  }

  static let canMount = SmallDisk(options: "size=64k") != nil
}

@Suite struct FullDiskTests {
  private func files(_ count: Int, _ numbers: Numbers) -> [CheckpointFile] {
    (0..<count).map { file in
      CheckpointFile(name: "f\(file)", pieces: [numbers.piece("w\(file)", of: [numbers.buffer.count])])
    }
  }

  @Test func aSaveThatFailsHalfWayLeavesTheEarlierOne() throws {
    let scratch = Scratch()
    let store = CheckpointStore(folder: scratch.url, keep: 1)
    let numbers = Numbers([1, 2, 3])
    try store.save(step: 1, files: files(2, numbers), state: 1)
    var broken = files(3, numbers)
    broken[1].name = String(repeating: "n", count: 300)
    let line = message { try store.save(step: 2, files: broken, state: 2) }
    #expect(line.contains("cannot create") && line.contains("File name too long"), "\(line)")
    #expect(try scratch.names() == ["step-00000001"])
    #expect(try store.latest().checkpoint?.step == 1)
  }

  @Test(.enabled(if: SmallDisk.canMount, "needs the right to mount a small disk"))
  func aFullDiskLeavesTheEarlierCheckpoint() throws {
    let disk = try #require(SmallDisk(options: "size=2m,nr_inodes=14"))
    let store = CheckpointStore(folder: disk.scratch.url)
    let numbers = Numbers([1, 2, 3])
    try store.save(step: 1, files: files(1, numbers), state: 1)

    // Refused in advance, with numbers.
    let large = Numbers([Float](repeating: 1, count: 1 << 20))
    let refusal = message { try store.save(step: 2, files: files(1, large), state: 2) }
    #expect(refusal.contains("needs 5.00 MiB but only 1.9"), "\(refusal)")

    // The disk holds no more files, though it has room: found out while saving.
    let full = message { try store.save(step: 2, files: files(12, numbers), state: 2) }
    #expect(full.contains("No space left on device (errno 28)"), "\(full)")
    #expect(try disk.scratch.names() == ["step-00000001"])

    // Somebody else takes the room between the look and the write.
    do {
      var draft = try store.begin(step: 2, bytesNeeded: 0)
      let late = message { _ = try files(1, large)[0].write(in: draft.folder) }
      #expect(late.contains("cannot write") && late.contains("No space left on device (errno 28)"), "\(late)")
      #expect(try disk.scratch.names("step-00000002.partial") == [])
      _ = message { _ = try draft.commit([], state: [Float](repeating: 1, count: 1 << 19)) }
    }
    #expect(try disk.scratch.names() == ["step-00000001"])
    #expect(try store.latest().checkpoint?.step == 1)
    try store.save(step: 3, files: files(1, numbers), state: 3)
    #expect(try store.latest().checkpoint?.step == 3)
  }
}
