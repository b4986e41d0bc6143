import ApusForesight
import Foundation
import Testing

/// `apus sweep` of real runs, as a person starts and stops it.
@Suite struct RealSweepTests {
  private func folder(_ runs: String, timeout: Int = 60) throws -> ProgramFolder {
    let folder = try ProgramFolder()
    try folder.write((0..<300).map { "line \($0): the swift is \($0 * $0 % 97)\n" }.joined(), "text.txt")
    try folder.write(
      """
      model: {family: llama, vocabulary_size: 280, maximum_sequence_length: 16, layers: 1,
        hidden_size: 16, heads: 2, intermediate_size: 32}
      data: {train: [text.txt], tokenizer_vocabulary_size: 280, validation_fraction: 0}
      training: {steps: 5, sequence_length: 16, micro_batch_size: 2, threads: 1}
      output: {report: false, tensorboard: false}
      checkpoint: {at_end: false}
      """, "base.yaml")
    try folder.write(
      """
      name: small
      run:
        configuration: base.yaml
        timeout_seconds: \(timeout)
      \(runs)
      """, "sweep.yaml")
    // Measured with one kind of instruction, so that nothing is measured here and no time is foreseen.
    try folder.write(
      """
      name: this-machine
      architecture: processor
      peak_tflops: {fp32: 0.1}
      sustained: 1
      multiprocessors: 1
      memory_gib: 8
      memory_gb_per_second: 10
      runtime_gib: 0
      launch_us: 1
      devices_per_node: 2
      node_link: {name: memory, gb_per_second: 4, latency_us: 5}
      network: {name: memory, gbit_per_second: 4, latency_us: 5}
      measured:
        sharings: [1x1]
        1x1: {cache_mib: 1, step_us: 10, curves: {add fp32: [1, 0, 0, 0, 0, 0, 0]}}
      """, "machine.yaml")
    return folder
  }

  private func records(_ folder: ProgramFolder) throws -> [SweepRecord] {
    try String(decoding: folder.read("out/records.jsonl"), as: UTF8.self).split(separator: "\n").map {
      try JSONDecoder().decode(SweepRecord.self, from: Data($0.utf8))
    }
  }

  /// Each way in which a run can end is told apart; started again, only what failed runs again.
  @Test func statuses() throws {
    let folder = try folder(
      """
        list:
          - {training.steps: 5}
          - {training.micro_batch_size: 1000000, model.hidden_size: 256}
          - {training.learning_rate: 1e30, training.steps: 50}
          - {training.steps: 1000000000}
          - {layout.data: 2, layout.zero_stage: 1}
      """, timeout: 5)
    let words = ["sweep", "sweep.yaml", "--output", "out", "--hardware", "machine.yaml", "--json"]
    let first = try folder.apus(words)
    #expect(first.status == 0, "\(first.error)")
    let records = try records(folder)
    try #require(records.count == 5)
    #expect(records.map(\.status) == [.ok, .outOfMemory, .crashed, .timedOut, .ok])
    #expect(records.map(\.predictedStatus) == [.ok, .outOfMemory, .ok, .ok, .ok])
    #expect(records[0].measured?.stepSeconds ?? 0 > 0 && records[0].measured?.sentBytes == [:])
    #expect(records[1].reason.contains("of memory are available") && records[2].reason.contains("step "))
    #expect(records[3].reason == "ended after 5 s" && records[3].seconds ?? 0 < 10)
    // Two ranks sum their gradients and gather their weights: both halves of an all-reduce.
    #expect(records[4].measured?.sentBytes?["shard"] ?? 0 > 0)
    let counts = try first.json()["status"] as? [String: Int]
    #expect(counts == ["ok": 2, "out of memory": 1, "crashed": 1, "timed out": 1])
    // The logs of those that failed stay; nothing else of the runs does.
    let logs = try folder.names().filter { $0.hasPrefix("out/run-") }
    #expect(logs.count == 3 && logs.allSatisfy { $0.hasSuffix(".log") })

    let again = try folder.apus(words)
    #expect(try again.json()["new"] as? Int == 0 && again.json()["known"] as? Int == 5)
    let table = try CSVTable(String(decoding: folder.read("out/small.csv"), as: UTF8.self), name: "table")
    try #require(table.rows.count == 5)
    #expect(table.field("status", of: table.rows[3]) == "timed out")
  }

  /// Every mistake of every run is named before the first one starts, once.
  @Test func mistakesOfAllRuns() throws {
    let folder = try folder(
      """
        vary: {training.step: [1, 2], model.layers: [0, 1]}
        list: [{training.precision: fp64}]
      """)
    let outcome = try folder.apus(["sweep", "sweep.yaml", "--output", "out", "--hardware", "machine.yaml"])
    #expect(outcome.status == 2)
    for word in ["training.step", "model.layers", "training.precision"] {
      #expect(outcome.error.components(separatedBy: "\(word):").count == 2, "\(outcome.error)")
    }
    #expect(try !folder.names().contains { $0.hasPrefix("out/run-") })
  }

  @Test func missingDataIsToldBeforeTheFirstRun() throws {
    let folder = try folder("  list: [{training.steps: 2}]")
    try FileManager.default.removeItem(at: folder.url.appending(path: "text.txt"))
    let outcome = try folder.apus(["sweep", "sweep.yaml", "--output", "out", "--hardware", "machine.yaml"])
    #expect(outcome.status == 1 && outcome.error.contains("text.txt: no such file"))
  }

  /// An interrupt ends the child, leaves whole records and a table, and the sweep goes on where it was.
  @Test func interrupt() throws {
    let folder = try folder(
      "  list: [{training.steps: 4}, {training.steps: 1000000000}, {training.steps: 3}]")
    let process = Process()
    process.executableURL = try ProgramFolder.program
    process.arguments = ["sweep", "sweep.yaml", "--output", "out", "--hardware", "machine.yaml"]
    process.currentDirectoryURL = folder.url
    process.standardOutput = FileHandle.nullDevice
    process.standardError = FileHandle.nullDevice
    try process.run()
    let deadline = Date(timeIntervalSinceNow: 30)
    func children() throws -> [Int32] {
      try FileManager.default.contentsOfDirectory(atPath: "/proc").compactMap { Int32($0) }.filter { id in
        let words = (try? String(contentsOfFile: "/proc/\(id)/cmdline", encoding: .utf8)) ?? ""
        return id != process.processIdentifier && words.contains(folder.url.lastPathComponent)
      }
    }
    // The second run trains once it has written metrics.
    while try children().isEmpty
      || !folder.names().contains(where: { $0.hasSuffix("metrics.jsonl") })
      || (try? records(folder).count) != 1, Date() < deadline
    {
      usleep(20_000)
    }
    process.interrupt()
    process.waitUntilExit()
    #expect(process.terminationStatus == 130)
    #expect(try children().isEmpty)
    #expect(try records(folder).map(\.status) == [.ok])
    #expect(try folder.names().contains("out/small.csv"))
    // What was cut short is not known: the sweep would run it again.
    #expect(try folder.names().filter { $0.hasPrefix("out/run-") }.isEmpty)
  }
}
