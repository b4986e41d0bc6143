import Foundation

/// A job of processes of `RankTrial`, started by mpirun and ended with the test.
final class MPIJobRun {
  private let process = Process()
  private let folder: URL
  private let program: URL

  /// Where mpirun is, if it is installed.
  static let launcher: String? = ["/usr/bin/mpirun", "/usr/local/bin/mpirun"].first {
    FileManager.default.isExecutableFile(atPath: $0)
  }

  /// Starts `ranks` processes. With `--enable-recovery` the launcher leaves survivors alone when one dies.
  init(_ ranks: Int, _ arguments: String, recovery: Bool = false) throws {
    folder = FileManager.default.temporaryDirectory.appendingPathComponent("ranks-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    // The test bundle and the trial are products of one build.
    program = URL(fileURLWithPath: CommandLine.arguments[0]).deletingLastPathComponent()
      .appendingPathComponent("RankTrial")
    for name in ["out", "err"] { try Data().write(to: file(name)) }
    // Each rank's shell notes how the rank ended, whatever the launcher makes of it.
    let script =
      "\(program.path) \(arguments); echo $? > \(folder.path)/status.$OMPI_COMM_WORLD_RANK"
    process.executableURL = URL(fileURLWithPath: Self.launcher ?? "mpirun")
    process.arguments =
      (getuid() == 0 ? ["--allow-run-as-root"] : []) + (recovery ? ["--enable-recovery"] : [])
      + ["--oversubscribe", "-n", "\(ranks)", "sh", "-c", script]
    process.standardOutput = try FileHandle(forWritingTo: file("out"))
    process.standardError = try FileHandle(forWritingTo: file("err"))
    try process.run()
  }

  deinit {
    if process.isRunning { process.terminate() }
    try? FileManager.default.removeItem(at: folder)
  }

  private func file(_ name: String) -> URL { folder.appendingPathComponent(name) }
  var output: String { (try? String(contentsOf: file("out"), encoding: .utf8)) ?? "" }
  var errors: String { (try? String(contentsOf: file("err"), encoding: .utf8)) ?? "" }

  /// The lines of our program's own about a failure, after the launcher's end: it hands on what a rank has written
  /// when it gets round to it, and under load that is after the rank has ended.
  func verdicts(limit: Double = 20) -> [String] {
    _ = launcherStatus(limit: limit)
    return errors.split(separator: "\n").map(String.init).filter { $0.hasPrefix("apus: ") }
  }

  /// The processes by rank, once the job has said them.
  func processes(limit: Double = 20) -> [pid_t] {
    let end = Date(timeIntervalSinceNow: limit)
    while Date() < end {
      if let line = output.split(separator: "\n").first(where: { $0.hasPrefix("processes ") }) {
        return line.split(separator: " ").dropFirst().compactMap { pid_t($0) }
      }
      Thread.sleep(forTimeInterval: 0.02)
    }
    return []
  }

  /// Waits until the ranks have ended, for `limit` seconds at most, and returns the exit statuses by rank; a
  /// rank that is missing has not ended.
  func statuses(of ranks: [Int], limit: Double) -> [Int: Int] {
    let end = Date(timeIntervalSinceNow: limit)
    var found: [Int: Int] = [:]
    while Date() < end, found.count < ranks.count {
      Thread.sleep(forTimeInterval: 0.02)
      for rank in ranks {
        let text = try? String(contentsOf: file("status.\(rank)"), encoding: .utf8)
        found[rank] = text.flatMap { Int($0.trimmingCharacters(in: .whitespacesAndNewlines)) }
      }
    }
    return found
  }

  /// Waits for the launcher itself; nil if it does not end in time.
  func launcherStatus(limit: Double) -> Int32? {
    let end = Date(timeIntervalSinceNow: limit)
    while process.isRunning, Date() < end { Thread.sleep(forTimeInterval: 0.02) }
    return process.isRunning ? nil : process.terminationStatus
  }
}
