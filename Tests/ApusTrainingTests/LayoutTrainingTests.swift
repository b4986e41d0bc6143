import ApusConfiguration
import ApusCore
import ApusReport
import ApusTraining
import Foundation
import Testing

/// Whole runs on several ranks: the loss curve of one rank, whatever the layout, also across checkpoints.
@Suite struct LayoutTrainingTests {
  private let folder = FileManager.default.temporaryDirectory.appendingPathComponent(
    "apus-layouts-\(UUID().uuidString)")

  private static let layouts = [
    "{}", "{data: 2}", "{data: 2, zero: 1, tensor: 2}", "{data: 3, zero: 2}", "{data: 2, zero: 3}",
    "{tensor: 4, sequence_parallel: true}",
    "{data: 4, zero: 3, shard_degree: 2, gradient_synchronisation: bucketed}",
    "{data: 2, tensor: 2, zero: 3, sequence_parallel: true, keep_gathered_inputs: false}",
  ]

  private func text() -> String {
    (0..<600).map { "The \($0) quick brown fox jumps over \($0 * 7 % 13) lazy dogs.\n" }.joined()
  }

  private func run(
    _ layout: String, _ name: String, steps: Int, start: RunFolder.Start, samples: Int = 12,
    saves: Bool = true, microBatch: Int = 1
  ) throws -> TrainingRun.Summary {
    let corpus = folder.appendingPathComponent("corpus.txt")
    if !FileManager.default.fileExists(atPath: corpus.path) {
      try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
      try Data(text().utf8).write(to: corpus)
    }
    let yaml = """
      model: {family: llama, layers: 2, hidden_size: 24, heads: 4, key_value_heads: 2, head_size: 6,
        intermediate_size: 32, maximum_sequence_length: 24}
      data: {train: [\(corpus.path)], tokenizer_vocabulary_size: 300, validation_fraction: 0.1}
      training: {steps: \(steps), sequence_length: 16, global_batch_size: \(samples), micro_batch_size: \(microBatch),
        learning_rate: 0.01, warmup_steps: 0, schedule: constant, validate_every: 4, validation_tokens: 400, threads: 1}
      layout: \(layout)
      checkpoint: {at_end: \(saves)}
      output: {folder: \(folder.path)/\(name), tensorboard: false, report: false, sample_prompt: "The 1",
        sample_tokens: 4}
      """
    let configuration = try Configuration.parse(yaml: yaml, name: "job.yaml")
    let null = open("/dev/null", O_WRONLY)
    defer { close(null) }
    return try TrainingLaunch.inProcess(
      configuration, start: start, command: ["apus", "test"], descriptor: null)
  }

  private func losses(_ name: String) throws -> [StepRecord] {
    try MetricsFile.read(path: folder.appendingPathComponent("\(name)/metrics.jsonl").path)
  }

  private func isClose(_ a: Double, _ b: Double) -> Bool { abs(a - b) < 2e-4 * abs(b) }

  @Test func everyLayoutHasTheLossCurveOfOneRank() throws {
    defer { try? FileManager.default.removeItem(at: folder) }
    _ = try run("{}", "one", steps: 4, start: .fresh)
    let expected = try losses("one")
    for (number, layout) in Self.layouts.enumerated().dropFirst() {
      _ = try run(layout, "run\(number)", steps: 4, start: .fresh)
      let found = try losses("run\(number)")
      #expect(found.count == 4)
      for (a, b) in zip(found, expected) {
        #expect(
          isClose(a.loss, b.loss) && isClose(a.gradientNorm, b.gradientNorm), "\(layout), step \(a.step)")
        #expect(a.tokensSeen == b.tokensSeen)
        if let loss = b.validationLoss { #expect(isClose(a.validationLoss ?? .nan, loss), "\(layout)") }
      }
      let communication = found[1].communication ?? []
      #expect(
        !communication.isEmpty && communication.allSatisfy { $0.calls > 0 && $0.bytes > 0 }, "\(layout)")
    }
  }

  /// A checkpoint of any layout goes on under any other, with another number of ranks.
  @Test func checkpointsCrossLayouts() throws {
    defer { try? FileManager.default.removeItem(at: folder) }
    _ = try run("{}", "one", steps: 4, start: .fresh)
    let expected = try losses("one")
    for (number, layout) in Self.layouts.enumerated() {
      _ = try run(layout, "saved\(number)", steps: 2, start: .fresh)
      for step in [1, 3] {
        let other = Self.layouts[(number + step) % Self.layouts.count]
        let copy = "from\(number)to\(step)"
        try FileManager.default.copyItem(
          at: folder.appendingPathComponent("saved\(number)"), to: folder.appendingPathComponent(copy))
        _ = try run(other, copy, steps: 4, start: .resume)
        for (a, b) in zip(try losses(copy), expected) {
          #expect(isClose(a.loss, b.loss), "\(layout) to \(other), step \(a.step): \(a.loss), \(b.loss)")
        }
        #expect(try losses(copy).count == 4)
      }
    }
  }

  /// The text at a run's end comes from the weights of all ranks, whether or not a checkpoint is saved, and is that
  /// of one rank.
  @Test func everyLayoutWritesTheSameSample() throws {
    defer { try? FileManager.default.removeItem(at: folder) }
    func sample(_ name: String) throws -> String {
      try String(contentsOf: folder.appendingPathComponent("\(name)/sample.txt"), encoding: .utf8)
    }
    _ = try run("{}", "one", steps: 2, start: .fresh)
    for (number, layout) in Self.layouts.enumerated().dropFirst() {
      _ = try run(layout, "run\(number)", steps: 2, start: .fresh, saves: false)
      #expect(try sample("run\(number)") == sample("one"), "\(layout)")
      let checkpoints = folder.appendingPathComponent("run\(number)/checkpoints").path
      #expect((try? FileManager.default.contentsOfDirectory(atPath: checkpoints))?.isEmpty != false)
    }
  }

  /// With ZeRO-2 and 3 the smaller batch is the first micro-batch of all replicas: that of one rank with a
  /// micro-batch as large. With less sharding every replica gives an estimate of its own.
  @Test func replicasMeasureTheNoiseScale() throws {
    defer { try? FileManager.default.removeItem(at: folder) }
    _ = try run("{}", "one", steps: 3, start: .fresh, microBatch: 2)
    let expected = try losses("one")
    for stage in 0...3 {
      _ = try run("{data: 2, zero: \(stage)}", "stage\(stage)", steps: 3, start: .fresh)
      for (found, one) in zip(try losses("stage\(stage)"), expected) {
        let (noise, signal) = (try #require(found.gradientNoise), try #require(found.gradientSignal))
        #expect(isClose(found.loss, one.loss), "the loss is summed once")
        if stage >= 2 {
          let size = abs(try #require(one.gradientSignal)) + pow(one.gradientNorm, 2)
          #expect(abs(signal - (one.gradientSignal ?? .nan)) < 1e-3 * size)
          #expect(isClose(noise, try #require(one.gradientNoise)) || abs(noise) < 1e-2)
        } else {
          // |G_B|² is |G|² + tr / B, whatever the smaller batch was.
          let whole = signal + noise / Double(one.tokensSeen / one.step)
          #expect(isClose(whole, pow(one.gradientNorm, 2)), "stage \(stage)")
          #expect(noise.isFinite && noise != 0)
        }
      }
    }
  }
}
