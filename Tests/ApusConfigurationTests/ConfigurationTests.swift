import ApusConfiguration
import ApusModels
import Foundation
import Testing

@Suite struct ConfigurationTests {
  private func parse(_ overrides: String...) throws -> Configuration {
    try Configuration.parse(yaml: minimal, name: "some/job.yaml", overrides: overrides)
  }

  @Test func defaults() throws {
    let c = try parse()
    #expect(c.model.preset == "llama-small")
    #expect(c.model.shape == ModelPresets.named("llama-small"))
    #expect(c.data == DataSection(train: [DataSource(path: "a.txt")]))
    #expect(c.training == TrainingSection(steps: 100, sequenceLength: 256))
    #expect(c.training.warmupSteps == 20 && c.training.minimumLearningRate == 3e-5)
    #expect(c.layout == LayoutSection() && c.checkpoint == CheckpointSection())
    #expect(c.output == OutputSection(folder: "runs/job"))
  }

  /// Where the optimizer's mean of squares settles within a fifth of the steps, a fifth; then the settling time; then a
  /// twentieth, to 2,000.
  @Test(arguments: [
    (20, "0.95", 4), (300, "0.95", 40), (300, "0.9", 20), (300, "0.999", 60), (1_000, "0.95", 50),
    (100_000, "0.999", 2_000), (100_000, "0.95", 2_000), (4, "0.95", 0),
  ])
  func defaultWarmup(steps: Int, beta2: String, expected: Int) throws {
    let c = try parse("training.steps=\(steps)", "training.beta2=\(beta2)")
    #expect(c.training.warmupSteps == expected)
  }

  @Test func overridesReplaceAndAdd() throws {
    let c = try parse(
      "training.steps=20", "training.steps=30", "data.train=[x, {path: y, weight: 2.5}]", "layout.tp=1",
      "output.sample_prompt=\"20\"", "training.learning_rate=1_0e-4", "output.folder=3")
    #expect(c.training.steps == 30)
    #expect(c.data.train == [DataSource(path: "x"), DataSource(path: "y", weight: 2.5)])
    #expect(c.output.samplePrompt == "20" && c.output.folder == "3")
    #expect(c.training.learningRate == 1e-3)
  }

  @Test func tokensBecomeSteps() throws {
    let c = try parse("training.steps=null", "training.tokens=1e6", "training.global_batch_tokens=8192")
    #expect(c.training.steps == 123)  // ceil(1,000,000 / 8,192)
    #expect(c.training.globalBatchSize == 32 && c.training.microBatchSize == 8)
    #expect(c.training.gradientAccumulation == 4 && c.training.tokens == 123 * 8192)
  }

  @Test func shapeFollowsWhatIsGiven() throws {
    let wide = try #require(try parse("model.hidden_size=512").model.shape)
    #expect(wide.headSize == 64 && wide.intermediateSize == 1536 && wide.keyValueHeadCount == 4)
    let deep = try #require(try parse("model.layers=2").model.shape)
    #expect(deep.intermediateSize == 704 && deep.layerCount == 2)
    let gpt2 = try #require(
      try parse("model.preset=gpt2-124m", "model.hidden_size=384", "model.heads=6").model.shape)
    #expect(gpt2.intermediateSize == 1536 && gpt2.keyValueHeadCount == 6 && gpt2.headSize == 64)
    let own = try parse(
      "model.preset=null", "model.family=llama", "model.layers=2", "model.hidden_size=64", "model.heads=4",
      "model.maximum_sequence_length=32")
    #expect(own.model.shape?.vocabularySize == 0 && own.training.sequenceLength == 32)
    let plain = try parse("model.preset=llama-3.2-1b", "model.rope_scaling=null")
    #expect(plain.model.shape?.ropeScaling == nil && plain.training.sequenceLength == 1024)
    #expect(
      try parse("model.preset=gpt2-124m", "model.vocabulary_size=tokenizer").model.shape?.vocabularySize == 0)
  }

  @Test func noValidation() throws {
    let c = try parse("data.validation_fraction=0")
    #expect(c.training.validateEvery == 0 && !c.data.hasValidation)
    #expect(try parse("data.validation=b.txt").data.hasValidation)
  }

  @Test(arguments: [
    [], ["model.preset=llama-3.2-1b"], ["model.preset=null", "model.from=a folder/b"],
    ["model.preset=gpt2-124m", "model.vocabulary_size=tokenizer", "model.norm_epsilon=1e-6"],
    ["model.preset=llama-3.2-1b", "model.rope_scaling=null", "model.rope_theta=123456.7"],
    [
      "data.train=[a, {path: 'b: c', weight: 0.1, format: jsonl, text_field: \"te\\\"xt\"}]",
      "data.validation=['*.txt']",
    ],
    ["data.tokenizer=null.json", "data.shuffle=false", "training.schedule=constant"],
    ["training.global_batch_size=12", "training.gradient_clip=0", "training.minimum_learning_rate=0"],
    [
      "output.sample_prompt=\"true\\n# é\\u2028 \\u0085\\\\ 😀\"", "output.folder=yes",
      "training.seed=9223372036854775807",
    ],
    ["checkpoint.at_end=false", "output.tensorboard=false", "data.validation_fraction=0"],
    ["output.sample_prompt=\"123\"", "output.folder=\"~\"", "training.learning_rate=5e-324"],
  ])
  func resolvedYAMLParsesBackToTheSame(overrides: [String]) throws {
    let c = try Configuration.parse(yaml: minimal, name: "some/job.yaml", overrides: overrides)
    let again = try Configuration.parse(yaml: c.resolvedYAML, name: "other.yaml")
    #expect(again == c, "\(c.resolvedYAML)")
    #expect(again.resolvedYAML == c.resolvedYAML)
    let coded = try JSONDecoder().decode(Configuration.self, from: JSONEncoder().encode(c))
    #expect(coded == c)
    #expect(try JSONSerialization.jsonObject(with: Data(c.resolvedJSON.utf8)) is [String: Any])
    // YAML holds JSON, so the JSON parses back too.
    #expect(try Configuration.parse(yaml: c.resolvedJSON, name: "other.yaml") == c)
  }

  @Test func checksTheShapeWhenItIsKnown() throws {
    let c = try parse("model.preset=null", "model.from=folder")
    #expect(c.model.shape == nil && c.training.sequenceLength == 1024)
    var shape = try #require(ModelPresets.named("gpt2-124m"))
    try c.check(shape: shape, tokenizerVocabularySize: 50_257)
    shape.maximumSequenceLength = 512
    let error = try #require(throws: ConfigurationError.self) {
      try c.check(shape: shape, tokenizerVocabularySize: 50_258)
    }
    #expect(error.problems.map(\.key) == ["training.sequence_length", "model.vocabulary_size"])
  }
}
