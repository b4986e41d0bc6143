import Foundation
import Testing

/// Layouts that can be planned but not run: checked and estimated, and refused by training before anything starts.
@Suite struct LayoutCommandTests {
  private func write(_ folder: ProgramFolder, layout: String) throws {
    try folder.write("a text\n", "corpus.txt")
    try folder.write(
      """
      model: {family: llama, layers: 4, hidden_size: 16, heads: 2, head_size: 8, intermediate_size: 24,
        maximum_sequence_length: 16}
      data: {train: [corpus.txt], tokenizer_vocabulary_size: 280, validation_fraction: 0}
      training: {steps: 3, sequence_length: 16, micro_batch_size: 2, gradient_accumulation: 4, threads: 1}
      layout: \(layout)
      """, "run.yaml")
  }

  @Test(arguments: [
    ("{pipeline: 2}", "pipeline parallel degree 2"),
    ("{context: 4, pipeline: 2}", "context parallel degree 4"),
  ]) func plannedAndRefused(layout: String, name: String) throws {
    let folder = try ProgramFolder()
    try write(folder, layout: layout)
    let before = try folder.names()
    #expect(try folder.apus(["config", "check", "run.yaml"]).status == 0)
    let estimate = try folder.apus(["estimate", "run.yaml"])
    #expect(estimate.status == 0, "\(estimate.error)")
    #expect(estimate.text.contains("device of the pipeline") && estimate.text.contains("0-1"))
    #expect(estimate.text.contains("send") && estimate.text.contains("receive"))
    for words in [[], ["--launch", "mpi"]] {
      let refused = try folder.apus(["train", "run.yaml"] + words)
      #expect(refused.status != 0)
      #expect(refused.error.hasPrefix("apus: \(name) can be planned but not run yet"))
      #expect(refused.error.split(separator: "\n").count == 1)
    }
    #expect(try folder.names() == before)
  }
}
