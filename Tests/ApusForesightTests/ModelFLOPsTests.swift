import ApusForesight
import ApusModels
import Testing

@Suite struct ModelFLOPsTests {
  /// GPT-2 at 1024 tokens: 6 (124,439,808 - 786,432) and 6 or 12 times 12 · 768 · 1024.
  @Test func gpt2() {
    let flops = ModelFLOPs(PublishedModels.gpt2, sequenceLength: 1024)
    #expect(flops.countedParameters == 123_653_376)
    #expect(flops.perToken(.causal) == 741_920_256 + 56_623_104)
    #expect(flops.perToken(.full) == 741_920_256 + 113_246_208)
    #expect(flops.forwardPerToken(.full) * 3 == flops.perToken(.full))
  }

  @Test func attentionWidthIsHeadsTimesHeadSize() {
    var model = PublishedModels.llama1B
    model.headSize = 128
    let flops = ModelFLOPs(model, sequenceLength: 10)
    #expect(flops.attentionWidth == 4096)
    #expect(flops.perToken(.full) - flops.perToken(.causal) == 6 * 16 * 4096 * 10)
  }

  /// Domain reference B7: the campaign's MFU follows from its tokens per second with embedding and head
  /// counted apart, attention in full, and a peak of 989e12, within 0.1 %.
  @Test(arguments: [("1.34B", 38894.51, 44.32), ("8.86B", 7503.28, 45.22), ("8.86B", 7290.47, 43.94)])
  func publishedUtilization(name: String, tokensPerSecond: Double, percent: Double) throws {
    let model = try #require(PublishedModels.benchmark[name])
    let flops = ModelFLOPs(model, sequenceLength: 4096, counting: .embeddingAndHeadApart)
    let utilization = flops.utilization(
      tokensPerSecond: tokensPerSecond, peakFLOPsPerSecond: 989e12, .full)
    #expect(abs(100 * utilization / percent - 1) < 0.001)
  }

  /// Where the head is no copy of the embedding, both countings are one.
  @Test func countingsDifferByATiedTable() {
    func counted(_ model: ModelConfiguration, _ counting: ModelFLOPs.Counting) -> Int {
      ModelFLOPs(model, sequenceLength: 1, counting: counting).countedParameters
    }
    let (tied, untied) = (PublishedModels.llama1B, PublishedModels.llama8B)
    #expect(
      counted(tied, .embeddingAndHeadApart) - counted(tied, .everyParameterButPositions) == 128256 * 2048)
    #expect(counted(untied, .embeddingAndHeadApart) == counted(untied, .everyParameterButPositions))
  }
}
