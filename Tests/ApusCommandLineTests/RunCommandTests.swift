import Foundation
import Testing

/// `train`, `generate`, `evaluate`, `estimate` and `config check` as a person runs them, on a tiny model.
@Suite struct RunCommandTests {
  private func folder() throws -> ProgramFolder {
    let folder = try ProgramFolder()
    try folder.write((0..<300).map { "line \($0): the swift is \($0 * $0 % 97)\n" }.joined(), "text.txt")
    try folder.write(
      """
      model: {family: llama, vocabulary_size: tokenizer, maximum_sequence_length: 16, layers: 1,
        hidden_size: 16, heads: 2, key_value_heads: 1, intermediate_size: 24}
      data: {train: [text.txt], tokenizer_vocabulary_size: 280}
      training: {steps: 4, sequence_length: 16, micro_batch_size: 2, learning_rate: 0.01, threads: 1}
      checkpoint: {every: 2, keep: 5}
      output: {folder: run, report: false, tensorboard: false}
      """, "job.yaml")
    return folder
  }

  @Test func aDamagedCheckpointIsPassedOverWithAWord() throws {
    let folder = try folder()
    let summary = try folder.apus(["train", "job.yaml", "--json", "--hardware", "none"]).json()
    #expect(summary["steps"] as? Int == 4)
    let whole = try folder.succeed("evaluate", "run", "--data", "text.txt", "--json").json()
    #expect((whole["tokens"] as? Int ?? 0) > 1000)
    let step2 = try folder.succeed("generate", "run", "--step", "2", "--tokens", "6", "--prompt", "line")

    let newest = folder.url.appending(path: "run/checkpoints/step-00000004")
    let part = try #require(
      try FileManager.default.contentsOfDirectory(atPath: newest.path).first { $0.hasSuffix("safetensors") })
    let file = try FileHandle(forUpdating: newest.appending(path: part))
    try file.truncate(atOffset: 100)
    try file.close()
    let outcome = try folder.apus(["generate", "run", "--tokens", "6", "--prompt", "line"])
    #expect(outcome.status == 0 && outcome.output == step2.output)
    #expect(outcome.error.hasPrefix("apus: checkpoint ") && outcome.error.contains("incomplete or damaged"))
    #expect(outcome.error.split(separator: "\n").count == 1)
  }

  @Test func allMissingDataIsNamedAtOnce() throws {
    let folder = try folder()
    #expect(try folder.succeed("config", "check", "job.yaml").text == "job.yaml: valid\n")
    for words in [["config", "check", "job.yaml"], ["train", "job.yaml"]] {
      let outcome = try folder.apus(words + ["--set", "data.train=[gone.txt, lost.bin, text.txt]"])
      #expect(outcome.status == 1)
      #expect(
        outcome.error == """
          apus: gone.txt: no such file; check the path or the pattern
          apus: lost.bin: cannot open the file: No such file or directory

          """)
    }
    let json = try folder.apus([
      "config", "check", "job.yaml", "--json", "--set", "data.train=[gone.txt]", "--set", "training.steps=2",
    ])
    let problems = try #require(try json.json()["problems"] as? [[String: Any]])
    #expect(json.status == 1 && problems.count == 1)
    #expect(problems[0]["key"] as? String == "data" && problems[0]["is_override"] as? Bool == false)
  }

  @Test func estimateCountsTheSameModel() throws {
    let folder = try folder()
    let estimate = try folder.succeed("estimate", "gpt2-124m", "--json").json()
    #expect(estimate["parameters"] as? Int == 124_439_808)
    #expect(try folder.succeed("estimate", "job.yaml", "--set", "model.vocabulary_size=280").text != "")
  }

  /// A device that takes nothing: an error, not silence.
  @Test func afullOutputIsAnError() throws {
    let folder = try folder()
    for words in ["config show job.yaml", "estimate gpt2-124m", "--help"] {
      let process = Process()
      process.executableURL = URL(fileURLWithPath: "/bin/sh")
      process.arguments = ["-c", "\"$0\" \(words) > /dev/full", try ProgramFolder.program.path]
      process.currentDirectoryURL = folder.url
      let pipe = Pipe()
      process.standardError = pipe
      try process.run()
      let error = String(decoding: pipe.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
      process.waitUntilExit()
      #expect(process.terminationStatus == 1, "\(words)")
      #expect(error == "apus: cannot write the output: No space left on device\n", "\(words)")
    }
  }
}
