import ApusConfiguration
import Testing

@Suite struct BatchRampTests {
  private let yaml = """
    model: {preset: llama-small}
    data: {train: a.txt}
    training: {steps: 100, sequence_length: 128, micro_batch_size: 4, global_batch_size: 32}
    """

  private func configuration(_ overrides: String...) throws -> Configuration {
    let configuration = try Configuration.parse(yaml: yaml, name: "job.yaml", overrides: overrides)
    #expect(try Configuration.parse(yaml: configuration.resolvedYAML, name: "job.yaml") == configuration)
    return configuration
  }

  private func problem(_ ramp: String) -> [String] {
    do {
      _ = try Configuration.parse(yaml: yaml, name: "job.yaml", overrides: ["training.batch_ramp=\(ramp)"])
      return []
    } catch { return error.problems.map(\.description) }
  }

  @Test func stagesAreInStepsOrTokens() throws {
    let training = try configuration(
      "training.batch_ramp=[{until_step: 10, global_batch_size: 4}, {until_tokens: 20000, global_batch_tokens: 2048}]"
    ).training
    // 10 steps of 512 tokens, then 2,048 a step until at least 20,000: eight more.
    #expect(
      training.batchRamp == [
        BatchStage(untilStep: 10, globalBatchSize: 4), BatchStage(untilStep: 18, globalBatchSize: 16),
      ])
    #expect(training.tokens(throughStep: 10) == 5120)
    #expect(training.tokens(throughStep: 12) == 5120 + 4096)
    #expect(training.tokens == 5120 + 8 * 2048 + 82 * 4096)
  }

  /// A length in tokens counts the ramp's smaller steps.
  @Test func tokensCountTheRamp() throws {
    let training = try configuration(
      "training.steps=null", "training.tokens=100000",
      "training.batch_ramp=[{until_step: 20, global_batch_size: 8}]"
    ).training
    #expect(training.steps == 20 + (100_000 - 20 * 1024 + 4095) / 4096)
    #expect(training.tokens >= 100_000 && training.tokens - 4096 < 100_000)
  }

  @Test func mistakesAreNamed() {
    let at = "--set training.batch_ramp"
    #expect(
      problem("[{until_step: 10, global_batch_size: 6}]")
        == ["\(at)[0].global_batch_size: 6 is no multiple of 4, micro-batch 4 x 1 replicas; use 4 or 8"])
    #expect(
      problem("[{until_step: 10, global_batch_tokens: 600}]")
        == [
          "\(at)[0].global_batch_tokens: 600 is no multiple of 512, micro-batch 4 x 1 replicas x 128 tokens; "
            + "use 512 or 1024"
        ])
    #expect(problem("[{global_batch_size: 8}]").first?.contains("until_step: is missing") == true)
    #expect(problem("[{until_step: 5}]").first?.contains("global_batch_size: is missing") == true)
    #expect(
      problem("[{until_step: 5, global_batch_size: 4}, {until_step: 5, global_batch_size: 8}]").count == 1)
    #expect(problem("[{until_step: 100, global_batch_size: 4}]").first?.contains("ends at step 100") == true)
    #expect(problem("8").count == 1)
    #expect(
      problem("[{until_stepp: 5, global_batch_size: 4}]").contains {
        $0.hasSuffix("is an unknown key; did you mean until_step?")
      })
  }
}
