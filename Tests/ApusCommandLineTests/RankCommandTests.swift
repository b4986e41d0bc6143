import Foundation
import Testing

/// Where mpirun is; nil where it is not installed.
private let launcher: String? = ["/usr/bin/mpirun", "/usr/local/bin/mpirun"].first {
  FileManager.default.isExecutableFile(atPath: $0)
}

/// Training and verifying as processes of an MPI job. Skipped where mpirun is not installed.
@Suite(.serialized, .enabled(if: launcher != nil, "mpirun is not installed"))
struct RankCommandTests {
  private func job(_ folder: ProgramFolder, _ name: String, layout: String, steps: Int = 3) throws {
    let text = (0..<300).map { "Line \($0) of \($0 * 7 % 13) lines.\n" }.joined()
    try folder.write(text, "corpus.txt")
    try folder.write(
      """
      model: {family: llama, layers: 1, hidden_size: 16, heads: 2, head_size: 8, intermediate_size: 24,
        maximum_sequence_length: 16}
      data: {train: [corpus.txt], tokenizer_vocabulary_size: 280, validation_fraction: 0}
      training: {steps: \(steps), sequence_length: 16, micro_batch_size: 2, gradient_accumulation: 1, threads: 1}
      layout: \(layout)
      output: {folder: \(name), tensorboard: false, report: false}
      """, "\(name).yaml")
  }

  /// Runs mpirun with these words in the folder: the status, and the program's own lines about errors.
  private func mpirun(_ folder: ProgramFolder, _ words: [String]) throws -> (status: Int32, lines: [String]) {
    let errors = folder.url.appendingPathComponent("mpirun.err")
    try Data().write(to: errors)
    let process = Process()
    process.executableURL = URL(fileURLWithPath: launcher ?? "mpirun")
    process.arguments = (getuid() == 0 ? ["--allow-run-as-root"] : []) + ["--oversubscribe"] + words
    process.currentDirectoryURL = folder.url
    process.standardOutput = try FileHandle(forWritingTo: URL(fileURLWithPath: "/dev/null"))
    process.standardError = try FileHandle(forWritingTo: errors)
    try process.run()
    process.waitUntilExit()
    let lines = try String(contentsOf: errors, encoding: .utf8).split(separator: "\n").map(String.init)
    return (process.terminationStatus, lines.filter { $0.hasPrefix("apus: ") })
  }

  @Test func theLauncherIsStarted() throws {
    let folder = try ProgramFolder()
    try job(folder, "run", layout: "{data: 2, zero: 2}")
    let outcome = try folder.apus(["train", "run.yaml", "--launch", "mpi"])
    #expect(outcome.status == 0, "\(outcome.error)")
    #expect(outcome.text.contains("ranks: data 2, ZeRO-2 x tensor 1, 1 thread each"))
    // Measured before the run between the two processes, and compared at its end.
    let step = try #require(outcome.text.split(separator: "\n").first { $0.hasPrefix("step: ") })
    #expect(step.contains(" foreseen, ") && step.contains(" measured ("), "\(step)")
    let sent = try #require(outcome.text.split(separator: "\n").first { $0.hasPrefix("sent by a rank") })
    let counts = sent.split(separator: " ").compactMap { Int($0.replacing(",", with: "")) }
    #expect(counts.count == 2 && counts[0] > 0 && counts[0] == counts[1], "\(sent)")
    let metrics = String(decoding: try folder.read("run/metrics.jsonl"), as: UTF8.self)
    #expect(metrics.split(separator: "\n").count == 3)
    let saved = try folder.names().filter { $0.hasSuffix(".safetensors") }
    #expect(
      saved.map { $0.suffix(23) } == ["rank-00000.safetensors", "rank-00001.safetensors"].map { "/" + $0 })
    // On one rank, from what two processes have saved.
    let resumed = try folder.apus([
      "train", "run.yaml", "--resume", "--set", "layout.data=1", "--set", "layout.zero=0", "--set",
      "training.steps=4", "--set",
      "training.micro_batch_size=4", "--hardware", "none",
    ])
    #expect(resumed.status == 0, "\(resumed.error)")
  }

  @Test func theNumberOfProcessesMustBeThatOfRanks() throws {
    let folder = try ProgramFolder()
    try job(folder, "run", layout: "{data: 2}")
    let program = try ProgramFolder.program.path
    let (status, lines) = try mpirun(folder, ["-n", "3", program, "train", "run.yaml"])
    #expect(status == 2)
    #expect(
      lines == [
        "apus: the layout has 2 ranks (data 2 x tensor 1), but 3 processes were started; start 2, or change layout"
      ])
  }

  @Test func configurationsMustBeTheSame() throws {
    let folder = try ProgramFolder()
    try job(folder, "run", layout: "{data: 2}")
    let program = try ProgramFolder.program.path
    let (status, lines) = try mpirun(
      folder,
      ["-n", "1", program, "train", "run.yaml", ":", "-n", "1", program]
        + ["train", "run.yaml", "--set", "training.learning_rate=0.5"])
    #expect(status == 2)
    #expect(lines.count == 1)
    #expect(
      lines.first?.hasPrefix("apus: rank 1 has another configuration than rank 0 (learning_rate: 0.5")
        == true,
      "\(lines)")
  }

  @Test func verifyRunsAcrossProcesses() throws {
    let folder = try ProgramFolder()
    let program = try ProgramFolder.program.path
    let (status, lines) = try mpirun(folder, ["-n", "2", program, "verify"])
    #expect(status == 0 && lines.isEmpty, "\(lines)")
  }

  /// Ranks that do not do the same, or do not see the same, are refused with one line, whatever it is.
  @Test func ranksMustStartAlikeAndSeeTheSame() throws {
    let folder = try ProgramFolder()
    try job(folder, "run", layout: "{data: 2}")
    let program = try ProgramFolder.program.path
    let options = try mpirun(
      folder,
      ["-n", "1", program, "train", "run.yaml", ":", "-n", "1", program, "train", "run.yaml", "--resume"])
    #expect(options.status == 2 && options.lines.count == 1)
    #expect(
      options.lines.first
        == "apus: rank 1 was started with other options (resume) than rank 0 (fresh); start all "
        + "with the same of --resume and --overwrite")

    // A machine whose run folder and data are its own.
    try FileManager.default.createDirectory(
      at: folder.url.appending(path: "other"), withIntermediateDirectories: true)
    for name in ["run.yaml", "corpus.txt"] { try folder.write(try text(folder, name), "other/\(name)") }
    let here = ["-n", "1", "-wdir", folder.url.path, program, "train", "run.yaml"]
    let there = [":", "-n", "1", "-wdir", folder.url.path + "/other", program, "train", "run.yaml"]
    let apart = try mpirun(folder, here + there)
    #expect(apart.status == 2 && apart.lines.count == 1)
    #expect(
      apart.lines.first?.hasPrefix("apus: rank 1 does not see the run folder of rank 0 at ") == true,
      "\(apart.lines)")

    let shared = ["--set", "output.folder=\(folder.url.path)/shared"]
    let tokens = ["--set", "data.train=[tokens.bin]", "--set", "model.vocabulary_size=280"]
    for (name, last) in [("tokens.bin", 5), ("other/tokens.bin", 6)] {
      var header = [Int32](repeating: 0, count: 256)
      header[0...2] = [20_240_520, 1, 4_000]
      let ids = (0..<4_000).map { UInt16($0 == 3_000 ? last : $0 % 7) }
      let bytes = header.withUnsafeBytes { Data($0) } + ids.withUnsafeBytes { Data($0) }
      try bytes.write(to: folder.url.appending(path: name))
    }
    let data = try mpirun(folder, here + shared + tokens + there + shared + tokens)
    #expect(data.status == 2 && data.lines.count == 1)
    #expect(
      data.lines.first?.hasPrefix("apus: rank 1 reads other data (4000 tokens") == true, "\(data.lines)")
  }

  private func text(_ folder: ProgramFolder, _ name: String) throws -> String {
    String(decoding: try folder.read(name), as: UTF8.self)
  }

  /// Ctrl-C at the program that started mpirun: all ranks stop after the same step, and a checkpoint is saved.
  @Test func anInterruptStopsAllRanksAndSaves() throws {
    let folder = try ProgramFolder()
    try job(folder, "run", layout: "{data: 2}", steps: 1_000_000)
    let process = Process()
    process.executableURL = try ProgramFolder.program
    process.arguments = ["train", "run.yaml", "--launch", "mpi"]
    process.currentDirectoryURL = folder.url
    process.standardOutput = FileHandle.nullDevice
    process.standardError = FileHandle.nullDevice
    try process.run()
    let metrics = folder.url.appending(path: "run/metrics.jsonl")
    let end = Date(timeIntervalSinceNow: 60)
    while Date() < end, (try? Data(contentsOf: metrics))?.isEmpty != false {
      Thread.sleep(forTimeInterval: 0.05)
    }
    kill(process.processIdentifier, SIGINT)
    process.waitUntilExit()
    #expect(process.terminationStatus == 130)
    let steps = String(decoding: try folder.read("run/metrics.jsonl"), as: UTF8.self).split(separator: "\n")
      .count
    let saved = try folder.names().filter { $0.hasPrefix("run/checkpoints/step-") && !$0.contains(".") }
    let checkpoints = saved.filter { $0.split(separator: "/").count == 3 }
    #expect(checkpoints.count == 1 && steps > 0)
    #expect(checkpoints.first?.hasSuffix(String(steps)) == true, "\(checkpoints), \(steps) steps")
  }
}
