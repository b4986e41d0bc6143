import ApusCheckpoint
import ApusModels
import Foundation
import Testing

@Suite struct HuggingFaceFolderTests {
  static let fixtures = [
    "gpt2-tied", "gpt2-untied", "gpt2-without-prefix-bfloat16", "llama-untied-stretched",
    "llama-tied-sharded-float16",
  ]

  @Test(arguments: fixtures) func numbersMatchTransformers(_ name: String) throws {
    let folder = try HuggingFaceFolder(opening: fixture(name))
    let values = try JSONDecoder().decode(
      [String: [Float]].self, from: Data(contentsOf: fixture(name + "/first-values.json")))
    for tensor in folder.tensors {
      let expected = try #require(
        values[tensor.name] ?? values[String(tensor.name.dropFirst("transformer.".count))])
      let found = try numbers(tensor.name, in: folder)
      #expect([found[0], found[1], found[found.count - 1]] == expected, "\(tensor.name)")
      #expect(try folder.shape(of: tensor.name) == tensor.shape)
    }
    // transformers counts a tied head a second time and nothing else.
    #expect(
      values.count == folder.tensors.count
        + (values["lm_head.weight"] != nil && folder.configuration.tiedEmbeddings ? 1 : 0))
  }

  @Test func configurationsAreUnderstood() throws {
    #expect(
      try HuggingFaceFolder(opening: fixture("gpt2-tied")).configuration
        == ModelConfiguration(
          family: .gpt2, vocabularySize: 11, maximumSequenceLength: 6, layerCount: 2, hiddenSize: 8,
          headCount: 2))
    #expect(
      try HuggingFaceFolder(opening: fixture("gpt2-untied")).configuration
        == ModelConfiguration(
          family: .gpt2, vocabularySize: 11, maximumSequenceLength: 6, layerCount: 2, hiddenSize: 8,
          headCount: 2,
          intermediateSize: 20, tiedEmbeddings: false))
    let llama = try HuggingFaceFolder(opening: fixture("llama-untied-stretched"))
    #expect(
      llama.configuration
        == ModelConfiguration(
          family: .llama, vocabularySize: 13, maximumSequenceLength: 64, layerCount: 2, hiddenSize: 8,
          headCount: 4,
          keyValueHeadCount: 2, headSize: 4, intermediateSize: 12, tiedEmbeddings: false, normEpsilon: 1e-5,
          ropeTheta: 500_000,
          ropeScaling: .init(
            factor: 8, lowFrequencyFactor: 1, highFrequencyFactor: 4, originalMaximumPosition: 32)))
    #expect(llama.specialTokens == SpecialTokens(beginOfText: 1, endOfText: 2, padding: 0))
    #expect(llama.tokenizerFile == nil)
    let sharded = try HuggingFaceFolder(opening: fixture("llama-tied-sharded-float16")).configuration
    #expect(sharded.tiedEmbeddings && sharded.ropeScaling == nil && sharded.ropeTheta == 10_000)
  }

  @Test func slicesAreReadInPlace() throws {
    let folder = try HuggingFaceFolder(opening: fixture("llama-untied-stretched"))
    let name = "model.layers.1.mlp.down_proj.weight"
    let whole = try numbers(name, in: folder)
    let part = try slice(name, [2, 3], [4, 5], in: folder)
    #expect(part == (2..<6).flatMap { i in (3..<8).map { whole[i * 12 + $0] } })
    #expect(message { _ = try slice(name, [2, 3], [4, 10], in: folder) }.contains("lies outside"))
    #expect(
      message { _ = try numbers("model.layers.2.mlp.down_proj.weight", in: folder) }.contains(
        "holds no tensor"))
  }

  @Test(arguments: fixtures) func aWrittenFolderReadsTheSame(_ name: String) throws {
    let scratch = Scratch()
    let source = try HuggingFaceFolder(opening: fixture(name))
    let tokenizer = try scratch.write(
      Array("{\"added_tokens\":[{\"id\":2,\"content\":\"<end>\"}]}".utf8), "some-tokenizer.json")
    for shardBytes in [1_000_000, 1500] {
      let url = scratch.url.appendingPathComponent("out-\(shardBytes)")
      try HuggingFaceFolder.write(
        to: url, configuration: source.configuration, specialTokens: SpecialTokens(endOfText: 2),
        tokenizerFile: URL(fileURLWithPath: tokenizer), shardBytes: shardBytes, from: source)
      let copy = try HuggingFaceFolder(opening: url)
      #expect(copy.configuration == source.configuration)
      #expect(copy.specialTokens == SpecialTokens(endOfText: 2))
      for tensor in source.tensors {
        #expect(try numbers(tensor.name, in: copy) == numbers(tensor.name, in: source))
      }
      let files = try scratch.names("out-\(shardBytes)")
      let weights = files.filter { $0.hasSuffix(".safetensors") }
      #expect(shardBytes == 1500 ? weights.count > 2 : weights == ["model.safetensors"])
      #expect(files.contains("model.safetensors.index.json") == (shardBytes == 1500))
      #expect(copy.tokenizerFile != nil && files.contains("generation_config.json"))
      let words = String(decoding: try scratch.read("out-\(shardBytes)/tokenizer_config.json"), as: UTF8.self)
      #expect(words.contains("\"eos_token\": \"<end>\""))
      // A second time the folder is in the way.
      #expect(
        throws: CheckpointError.alreadyExists(path: url.path)
      ) { try HuggingFaceFolder.write(to: url, configuration: source.configuration, from: source) }
    }
    #expect(try scratch.names().filter { $0.hasSuffix(".partial") } == [])
  }

  @Test func aFailedWriteLeavesNothing() throws {
    let scratch = Scratch()
    let source = try HuggingFaceFolder(opening: fixture("gpt2-tied"))
    var larger = source.configuration
    larger.vocabularySize = 12
    let url = scratch.url.appendingPathComponent("out")
    let line = message { try HuggingFaceFolder.write(to: url, configuration: larger, from: source) }
    #expect(line.contains("the shape [12, 8] lies outside \"transformer.wte.weight\""), "\(line)")
    larger.family = .gpt2
    larger.keyValueHeadCount = 1
    #expect(
      message { try HuggingFaceFolder.write(to: url, configuration: larger, from: source) }.contains(
        "grouped"))
    var uneven = source.configuration
    (uneven.family, uneven.hiddenSize, uneven.headSize) = (.llama, 9, 4)
    #expect(
      message { try HuggingFaceFolder.write(to: url, configuration: uneven, from: source) }
        .contains("transformers refuses 2 heads with hidden size 9"))
    #expect(try scratch.names() == [])
  }

  @Test func parameterCountsMatchThePublishedOnes() {
    func count(_ model: ModelConfiguration) -> Int {
      HuggingFaceNames.tensors(of: model).reduce(0) { $0 + $1.elementCount }
    }
    let gpt2 = ModelConfiguration(
      family: .gpt2, vocabularySize: 50_257, maximumSequenceLength: 1024, layerCount: 12, hiddenSize: 768,
      headCount: 12)
    #expect(count(gpt2) == 124_439_808)
    let llama = ModelConfiguration(
      family: .llama, vocabularySize: 128_256, maximumSequenceLength: 131_072, layerCount: 16,
      hiddenSize: 2048,
      headCount: 32, keyValueHeadCount: 8, intermediateSize: 8192)
    #expect(count(llama) == 1_235_814_400)
  }
}
