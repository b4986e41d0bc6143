import ApusCheckpoint
import ApusConfiguration
import ApusModels
import ApusProgram
import ApusReport
import ApusTraining
import Foundation
import Testing

/// Whole runs of a tiny model on a made-up text.
@Suite(.serialized) struct TrainingRunTests {
  /// A folder of its own for each test, removed at the end.
  final class Scratch {
    let url = FileManager.default.temporaryDirectory.appendingPathComponent("apus-run-\(UUID().uuidString)")

    init(text: String = Scratch.text) throws {
      try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
      try Data(text.utf8).write(to: url.appendingPathComponent("text.txt"))
    }

    deinit { try? FileManager.default.removeItem(at: url) }

    static let text = (0..<400).map {
      "line \($0): the \(["swift", "wing", "air"][$0 % 3]) is \($0 * $0 % 97)\n"
    }
    .joined()

    func path(_ name: String) -> String { url.appendingPathComponent(name).path }

    func configuration(_ overrides: [String] = [], run: String = "run") throws -> Configuration {
      let yaml = """
        model: {family: llama, vocabulary_size: tokenizer, maximum_sequence_length: 24, layers: 1, hidden_size: 16,
          heads: 2, key_value_heads: 1, intermediate_size: 24}
        data: {train: ["\(path("text.txt"))"], tokenizer_vocabulary_size: 300}
        training: {steps: 6, sequence_length: 24, micro_batch_size: 2, gradient_accumulation: 2, learning_rate: 0.01,
          validate_every: 3, threads: 1}
        checkpoint: {every: 3, keep: 5}
        output: {folder: "\(path(run))", sample_prompt: "line 1", sample_tokens: 8}
        """
      return try Configuration.parse(yaml: yaml, name: "test.yaml", overrides: overrides)
    }

    func run(_ configuration: Configuration, _ start: RunFolder.Start = .fresh) throws -> TrainingRun.Summary
    {
      let null = open("/dev/null", O_WRONLY)
      defer { close(null) }
      return try TrainingRun(configuration, start: start, command: ["apus", "test"], descriptor: null).run()
    }

    /// Every tensor of a run's checkpoint, moments included.
    func content(_ run: String, step: Int) throws -> [String: [Float]] {
      let store = CheckpointStore(folder: URL(fileURLWithPath: path("\(run)/checkpoints")))
      let reader = try store.open(step: step)
      var tensors: [String: [Float]] = [:]
      for record in reader.manifest.tensors {
        var values = [Float](repeating: 0, count: record.shape.reduce(1, *))
        try values.withUnsafeMutableBufferPointer { try reader.read(record.name, into: $0.baseAddress!) }
        tensors[record.name] = values
      }
      return tensors
    }
  }

  private func content(_ scratch: Scratch, _ run: String, step: Int) throws -> [String: [Float]] {
    try scratch.content(run, step: step)
  }

  /// Also in the middle of a batch ramp, whose later steps have several micro-batches of which each step measures
  /// the gradient's noise.
  @Test(arguments: [
    [],
    [
      "training.gradient_accumulation=3",
      "training.batch_ramp=[{until_step: 2, global_batch_size: 2}, {until_step: 4, global_batch_size: 4}]",
    ],
  ])
  func aResumedRunEqualsTheUninterruptedOne(_ overrides: [String]) throws {
    let scratch = try Scratch()
    _ = try scratch.run(try scratch.configuration(overrides))
    try FileManager.default.copyItem(atPath: scratch.path("run"), toPath: scratch.path("half"))
    try FileManager.default.removeItem(atPath: scratch.path("half/checkpoints/step-00000006"))
    _ = try scratch.run(try scratch.configuration(overrides, run: "half"), .resume)
    let (whole, resumed) = (
      try content(scratch, "run", step: 6), try content(scratch, "half", step: 6)
    )
    #expect(whole.count == resumed.count && whole.count > 20)
    for (name, values) in whole {
      #expect(resumed[name]?.map(\.bitPattern) == values.map(\.bitPattern), "\(name)")
    }
    let metrics = try MetricsFile.read(path: scratch.path("half/metrics.jsonl"))
    let first = try MetricsFile.read(path: scratch.path("run/metrics.jsonl"))
    #expect(metrics.map(\.step) == Array(1...6))
    #expect(metrics.map(\.loss) == first.map(\.loss))
    #expect(metrics.map(\.validationLoss) == first.map(\.validationLoss))
    #expect(metrics.map(\.tokensSeen) == first.map(\.tokensSeen))
    #expect(metrics.map(\.gradientSignal) == first.map(\.gradientSignal))
    #expect(metrics.map(\.gradientNoise) == first.map(\.gradientNoise))
    #expect(metrics.map(\.noiseScaleTokens) == first.map(\.noiseScaleTokens))
    let microbatches = overrides.isEmpty ? [2, 2, 2, 2, 2, 2] : [1, 1, 2, 2, 3, 3]
    #expect(metrics.map { $0.gradientNoise != nil } == microbatches.map { $0 > 1 })
    let tokens = microbatches.indices.map { microbatches[...$0].reduce(0, +) * 2 * 24 }
    #expect(metrics.map(\.tokensSeen) == tokens)
  }

  @Test func aRunLearnsAndLeavesItsFolder() throws {
    let scratch = try Scratch()
    let summary = try scratch.run(try scratch.configuration(["training.steps=60"]))
    let metrics = try MetricsFile.read(path: scratch.path("run/metrics.jsonl"))
    #expect(metrics.count == 60)
    // The plan is exact: the last byte touched lies in its last slot.
    let step = try #require(RunFolder(URL(fileURLWithPath: scratch.path("run"))).recordedFacts?.step)
    let touched = try #require(step.measured?.arenaBytes)
    #expect(touched <= step.foreseen.arenaBytes && touched > step.foreseen.arenaBytes - MemoryPlan.alignment)
    #expect(step == summary.step && step.foreseen.stepSeconds == nil)
    #expect(summary.loss < metrics[0].loss - 1)
    #expect(summary.validationLoss != nil && summary.validationBitsPerByte != nil)
    for name in ["configuration.yaml", "run.json", "tokenizer.json", "report.html", "sample.txt"] {
      #expect(FileManager.default.fileExists(atPath: scratch.path("run/\(name)")), "\(name)")
    }
    // The resolved configuration starts the same run again.
    let again = try Configuration.load(
      file: URL(fileURLWithPath: scratch.path("run/configuration.yaml")),
      overrides: ["output.folder=\(scratch.path("again"))"])
    #expect(try scratch.run(again).loss == summary.loss)
    // S3: the phases make up the step.
    for record in metrics {
      let phases =
        record.forwardSeconds + record.backwardSeconds + record.optimizerSeconds + record.dataWaitSeconds
      #expect(phases <= record.stepSeconds && phases > 0.5 * record.stepSeconds)
    }
  }

  @Test func aRunIsNeitherOverwrittenNorResumedByAccident() throws {
    let scratch = try Scratch()
    let configuration = try scratch.configuration(["training.steps=1", "training.warmup_steps=0"])
    #expect(throws: TrainingError.self) { try scratch.run(configuration, .resume) }
    _ = try scratch.run(configuration)
    #expect(throws: TrainingError.self) { try scratch.run(configuration) }
    _ = try scratch.run(configuration, .overwrite)
    // What is wrong with the new run shows before the old one is deleted; a finished run has nothing to resume.
    let missing = try scratch.configuration(["data.train=[/no/such/file.txt]"])
    #expect(throws: (any Error).self) { try scratch.run(missing, .overwrite) }
    #expect(try content(scratch, "run", step: 1).count > 20)
    #expect(throws: TrainingError.self) { try scratch.run(configuration, .resume) }
    let other = try scratch.configuration(["model.hidden_size=32", "training.steps=2"])
    #expect(throws: TrainingError.self) { try scratch.run(other, .resume) }
  }

  /// What a failed run left behind is not taken for this run's tokenizer.
  @Test func aNewRunLearnsItsOwnTokenizer() throws {
    let scratch = try Scratch()
    try FileManager.default.createDirectory(atPath: scratch.path("run"), withIntermediateDirectories: true)
    try Data("{}".utf8).write(to: URL(fileURLWithPath: scratch.path("run/tokenizer.json")))
    _ = try scratch.run(try scratch.configuration(["training.steps=1", "training.warmup_steps=0"]))
    #expect(try Data(contentsOf: URL(fileURLWithPath: scratch.path("run/tokenizer.json"))).count > 1000)
  }

  @Test func aLossThatIsNotFiniteStopsBeforeTheUpdate() throws {
    let scratch = try Scratch()
    let configuration = try scratch.configuration([
      "training.learning_rate=1e30", "training.warmup_steps=0", "training.schedule=constant",
    ])
    do {
      _ = try scratch.run(configuration)
      Issue.record("the run went on")
    } catch let error as NonFiniteStep {
      // The last good state is saved, and everything in it is finite.
      let saved = try content(scratch, "run", step: error.step - 1)
      #expect(saved.values.allSatisfy { $0.allSatisfy(\.isFinite) })
    }
  }

  @Test func oneRunAtATimeWritesInAFolder() throws {
    let scratch = try Scratch()
    let folder = RunFolder(scratch.url.appendingPathComponent("run"))
    let claim = try folder.claim()
    #expect(throws: TrainingError.self) { try folder.claim() }
    withExtendedLifetime(claim) {}
  }

  /// Overwriting deletes what a run wrote, and nothing beside it.
  @Test func filesOfOthersStayInTheFolder() throws {
    let scratch = try Scratch()
    let configuration = try scratch.configuration(["training.steps=1", "training.warmup_steps=0"])
    _ = try scratch.run(configuration)
    let own = URL(fileURLWithPath: scratch.path("run/data/notes.txt"))
    try Data("mine".utf8).write(to: own)
    _ = try scratch.run(configuration, .overwrite)
    #expect(try Data(contentsOf: own) == Data("mine".utf8))
  }

  @Test func tooLittleTextIsOneLine() throws {
    let scratch = try Scratch(text: "too short\nfor one\nsequence\n!")
    #expect {
      _ = try scratch.run(try scratch.configuration())
    } throws: { error in
      let text = "\(error)"
      return text.contains("too few") && !text.contains("\n")
    }
  }

  @Test func trainingStartsFromAFolder() throws {
    let scratch = try Scratch()
    let parity = ParityTests.folder("llama").path
    // Ids of a token file below the folder's vocabulary of 307.
    var bytes = Data(count: 1024)
    for (index, value) in [Int32(20_240_520), 1, 600].enumerated() {
      withUnsafeBytes(of: value.littleEndian) { bytes.replaceSubrange(index * 4..<index * 4 + 4, with: $0) }
    }
    for index in 0..<600 {
      withUnsafeBytes(of: UInt16(index * 7 % 307).littleEndian) { bytes.append(contentsOf: $0) }
    }
    try bytes.write(to: scratch.url.appendingPathComponent("tokens.bin"))
    let yaml = """
      model: {from: "\(parity)"}
      data: {train: ["\(scratch.path("tokens.bin"))"]}
      training: {steps: 1, sequence_length: 20, micro_batch_size: 1, learning_rate: 0.0, warmup_steps: 0, threads: 1,
        schedule: constant, weight_decay: 0}
      output: {folder: "\(scratch.path("run"))"}
      """
    let configuration = try Configuration.parse(
      yaml: yaml.replacingOccurrences(of: "learning_rate: 0.0", with: "learning_rate: 1e-30"),
      name: "test.yaml")
    _ = try scratch.run(configuration)
    let source = try HuggingFaceFolder(opening: URL(fileURLWithPath: parity))
    for (name, values) in try content(scratch, "run", step: 1) where !name.hasPrefix("optimizer.") {
      var original = [Float](repeating: 0, count: values.count)
      try original.withUnsafeMutableBufferPointer { try source.read(name, into: $0.baseAddress!) }
      #expect(original == values, "\(name)")
    }
  }
}
