import ApusForesight
import ApusModels
import Testing

@Suite struct ParameterCountTests {
  /// Domain reference S9, the GPT-3 shape.
  @Test func standardFormula() {
    let gpt3 = TransformerShape(layerCount: 96, hiddenSize: 12288, headCount: 96, vocabularySize: 50257)
    #expect(gpt3.parameterCount == 174_579_093_504)
    #expect(gpt3.parameterCount(withPositions: 2048) == 174_579_093_504 + 2048 * 12288)
  }

  /// A GPT-2 model is what the formula speaks of, so formula and exact count agree.
  @Test(arguments: [PublishedModels.gpt2, PublishedModels.gpt2XL])
  func formulaIsExactForGPT2(model: ModelConfiguration) {
    let count = ParameterCount(model)
    #expect(TransformerShape(model).parameterCount == count.withoutPositions)
    #expect(TransformerShape(model).parameterCount(withPositions: 1024) == count.total)
  }

  /// Numbers of the published checkpoints; Llama from the domain reference, 4.1 and 4.3.
  @Test func publishedModels() {
    #expect(ParameterCount(PublishedModels.gpt2).total == 124_439_808)
    #expect(ParameterCount(PublishedModels.gpt2XL).total == 1_557_611_200)
    #expect(ParameterCount(PublishedModels.llama1B).total == 1_235_814_400)
    #expect(ParameterCount(PublishedModels.llama8B).total == 8_030_261_248)
    #expect(ParameterCount(PublishedModels.llama70B).total == 70_553_706_496)
  }

  /// Domain reference B7, whose counts leave out the norms.
  @Test(arguments: [("1.34B", "1.342"), ("3.57B", "3.574"), ("8.86B", "8.858"), ("80B", "79.994")])
  func benchmarkModels(name: String, billions: String) throws {
    let model = try #require(PublishedModels.benchmark[name])
    #expect(rounds(Double(ParameterCount(model).withoutNorms) / 1e9, to: billions))
  }

  @Test func partsOfGPT2() {
    let count = ParameterCount(PublishedModels.gpt2)
    #expect(count.embedding == 50257 * 768 && count.positions == 1024 * 768 && count.head == 0)
    #expect(count.attention == 12 * (4 * 768 * 768 + 4 * 768))
    #expect(count.feedForward == 12 * (8 * 768 * 768 + 5 * 768))
    #expect(count.norms == 12 * 4 * 768 + 2 * 768)
  }
}
