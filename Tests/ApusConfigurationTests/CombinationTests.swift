import ApusConfiguration
import ApusCore
import ApusModels
import Testing

/// Values that are fine alone and impossible together.
@Suite struct CombinationTests {
  @Test(arguments: [
    (
      ["model.key_value_heads=3"],
      "model.key_value_heads: 3 key-value heads do not divide 8 heads; use 1, 2, 4 or 8 "
        + "key-value heads"
    ),
    (
      ["model.hidden_size=100"],
      "model.hidden_size: 8 heads do not divide the hidden size 100; use a hidden size of "
        + "96 or 104, or write head_size"
    ),
    (
      ["model.hidden_size=120"],
      "model.hidden_size: the head size is 15 (hidden size 120 / 8 heads), but must be even "
        + "and at most 256; use 64 or 128, or change hidden_size or heads"
    ),
    (
      ["model.head_size=300"],
      "model.head_size: the head size is 300, but must be even and at most 256; use 64 or "
        + "128, or change hidden_size or heads"
    ),
    (
      ["training.sequence_length=512"],
      "training.sequence_length: 512 exceeds the model's maximum_sequence_length "
        + "256; use at most 256, or raise model.maximum_sequence_length"
    ),
    (
      ["training.warmup_steps=101"],
      "training.warmup_steps: 101 warm-up steps exceed the 100 steps of the training; "
        + "use at most 100, or remove it for 20"
    ),
    (
      ["training.minimum_learning_rate=1"],
      "training.minimum_learning_rate: 1.0 is above the learning rate 0.0003; "
        + "use at most 0.0003, usually 3e-05"
    ),
    (
      ["training.tokens=1000"],
      "training.tokens: cannot go with steps: both fix the length of the training; remove "
        + "one of the two"
    ),
    (
      ["training.schedule=constant", "training.minimum_learning_rate=0"],
      "training.minimum_learning_rate: has no "
        + "meaning for the constant schedule; remove it"
    ),
    (
      ["data.validation=[b]", "data.validation_fraction=0.2"],
      "data.validation_fraction: holds nothing back when "
        + "validation names its own files; remove one of the two"
    ),
    (
      ["data.validation_fraction=0", "training.validate_every=5"],
      "training.validate_every: there is no validation "
        + "data; name data.validation, or set data.validation_fraction"
    ),
    (
      ["data.tokenizer=t.json", "data.tokenizer_vocabulary_size=300"],
      "data.tokenizer_vocabulary_size: has no effect: "
        + "the tokenizer is read from t.json; remove it"
    ),
    (
      ["data.train={path: a.bin, format: tokens}"],
      "data.tokenizer: is missing, and token files hold no text to "
        + "train one on; write the tokenizer.json that made the tokens"
    ),
    (
      ["model.vocabulary_size=1000"],
      "data.tokenizer_vocabulary_size: the tokenizer's 4096 tokens exceed "
        + "model.vocabulary_size 1000; use at most 1000, or `vocabulary_size: tokenizer` in the model"
    ),
    (
      ["output.sample_tokens=3"],
      "output.sample_tokens: has no effect without sample_prompt; add sample_prompt or "
        + "remove it"
    ),
    (
      ["training.validation_tokens=255"],
      "training.validation_tokens: 255 tokens are less than one sequence of 256; "
        + "use at least 256, or 0 for all"
    ),
    (
      ["training.global_batch_size=10", "training.micro_batch_size=4"],
      "training.global_batch_size: 10 samples "
        + "cannot be divided among micro-batch 4 x 1 replicas; use 8 or 12 samples"
    ),
    (
      ["model.from=folder", "model.preset=null", "model.layers=3"],
      "model.layers: cannot go with from: the "
        + "folder's config.json has the shape; remove it"
    ),
    (
      ["model.preset=gpt2-124m", "model.head_size=32"],
      "model.head_size: GPT-2 needs heads x head_size = hidden_size, "
        + "but 12 x 32 is 384, not 768; use a head size of 64"
    ),
    (
      ["model.preset=gpt2-124m", "model.rope_theta=1e4"],
      "model.rope_theta: GPT-2 learns its positions and rotates "
        + "nothing; remove it"
    ),
    (
      ["model.preset=gpt2-124m", "model.key_value_heads=4"],
      "model.key_value_heads: GPT-2 has no grouped-query "
        + "attention: 4 key-value heads, 12 heads; use 12 key-value heads, or the family llama"
    ),
    (
      ["checkpoint.at_end=false", "checkpoint.keep=3"],
      "checkpoint.keep: keeps nothing: every is 0 and at_end is "
        + "false; remove it"
    ),
  ])
  func impossible(overrides: [String], line: String) throws {
    let error = try #require(throws: ConfigurationError.self) {
      try Configuration.parse(yaml: minimal, name: "job.yaml", overrides: overrides)
    }
    // Some lines blame a key that the file, or nobody, wrote: compare without the place.
    #expect(error.problems.count == 1, "\(error)")
    #expect(error.problems.map { "\($0.key): \($0.message); \($0.remedy)" } == [line])
  }

  @Test func layoutIsCheckedAndRefused() {
    let lines = overrideProblems("layout.tensor=3", "layout.pp=7", "layout.context=3", "layout.data=0")
    #expect(
      lines == [
        "--set layout.data: 0 is out of range; use a whole number from 1 to 1048576",
        "--set layout.tensor: tensor parallel degree 3 does not divide 8 heads; use 1, 2, 4 or 8",
        "--set layout.pp: pipeline parallel degree 7 exceeds 6 layers; use at most 6",
        "--set layout.context: context parallel degree 3 takes two equal pieces of each sequence for a rank, and "
          + "6 does not divide the sequence length 256; use a sequence length of 252 or 258",
      ])
    let mixture = "model: {preset: llama-small, experts: 8, experts_per_token: 2}"
    let rest = "\ndata: {train: [a.txt]}\ntraining: {steps: 1}\nlayout: "
    #expect(problems(mixture + rest + "{data: 4, expert: 4, tensor: 2, sequence_parallel: true}") == [])
    #expect(
      problems(mixture + rest + "{data: 6, expert: 3, tensor: 2}") == [
        "job.yaml:4: layout.expert: expert parallel degree 3 does not divide 8 experts and 6 replicas; use 1 or 2",
        "job.yaml:4: layout.sequence_parallel: tensor parallel ranks would send the same tokens to the experts; set it "
          + "to true, or use a tensor degree of 1",
      ])
    // Axes that nothing runs along yet can be planned, so a configuration may name them.
    #expect(problems(minimal + "\nlayout: {pipeline: 2, context: 2}") == [])
    #expect(
      overrideProblems("layout.expert=2") == [
        "--set layout.expert: expert parallel degree 2 shares out experts, and the model has none; use 1"
      ])
    #expect(
      problems(minimal + "\nlayout: {dp: 1, data: 1}") == [
        "job.yaml:4: layout.dp: says the same as data, which is written too; keep one of the two names"
      ]
        || problems(minimal + "\nlayout: {dp: 1, data: 1}") == [
          "job.yaml:4: layout.data: says the same as dp, which is written too; keep one of the two names"
        ])
    #expect(problems(minimal + "\nlayout: {data: 2}", "layout.dp=1") == [])
  }

  @Test func layoutsThatRun() throws {
    let layout = try Configuration.parse(
      yaml: minimal, name: "job.yaml",
      overrides: [
        "layout.dp=4", "layout.tp=2", "layout.zero=3", "layout.shard_degree=2",
        "layout.sequence_parallel=true",
        "layout.keep_gathered_inputs=false", "layout.prefetched_units=2", "layout.stall_limit_seconds=5",
      ]
    ).layout
    #expect(
      layout.ranks
        == ParallelLayout(data: 4, tensor: 2, zeroStage: 3, shardDegree: 2, sequenceParallel: true))
    #expect(layout.communication == CommunicationPolicy(prefetchedUnits: 2, keepsGatheredInputs: false))
    #expect(layout.stallLimit == 5)
    let bucketed = try Configuration.parse(
      yaml: minimal, name: "job.yaml",
      overrides: ["layout.data=3", "layout.gradient_synchronisation=bucketed", "layout.bucket_mib=10"])
    #expect(bucketed.layout.communication.bucketByteCount == 10 << 20)
    #expect(try Configuration.parse(yaml: bucketed.resolvedYAML, name: "job.yaml") == bucketed)
  }

  @Test func layoutOptionsWithoutEffectAreRefused() {
    #expect(
      overrideProblems(
        "layout.zero_stage=2", "layout.bucket_mib=5", "layout.sequence_parallel=true",
        "layout.keep_gathered_inputs=true") == [
          "--set layout.zero_stage: ZeRO stage 2 shards over replicas, and there is one; use a data degree above "
            + "1, or stage 0",
          "--set layout.bucket_mib: has no effect with one replica; use a data degree above 1, or remove it",
          "--set layout.sequence_parallel: divides what tensor-parallel ranks hold whole, and there is one; use a "
            + "tensor degree above 1, or false",
        ])
    #expect(
      overrideProblems("layout.data=6", "layout.zero_stage=1", "layout.shard_degree=4") == [
        "--set layout.shard_degree: 4 does not divide 6 replicas; use 1, 2, 3 or 6"
      ])
    #expect(
      overrideProblems("layout.data=2", "layout.zero_stage=3", "layout.bucket_mib=4") == [
        "--set layout.bucket_mib: has no effect: ZeRO-3 keeps units apart; remove it"
      ])
    #expect(
      overrideProblems(
        "layout.tensor=2", "layout.sequence_parallel=true", "training.sequence_length=255") == [
          "--set layout.sequence_parallel: tensor parallel degree 2 does not divide the sequence length 255; use a "
            + "sequence length of 254 or 256"
        ])
  }

  @Test func tensorDegrees() {
    var shape = ModelConfiguration(
      family: .llama, vocabularySize: 100, maximumSequenceLength: 64, layerCount: 1, hiddenSize: 48,
      headCount: 12, keyValueHeadCount: 4, intermediateSize: 96)
    #expect(shape.tensorDegreeProblem(1) == nil)
    #expect(shape.tensorDegreeProblem(12) == nil)
    #expect(
      shape.tensorDegreeProblem(3)?.message
        == "tensor parallel degree 3 and 4 key-value heads do not divide each other")
    #expect(shape.tensorDegreeProblem(3)?.remedy == "use 1, 2, 4 or 12")
    shape.intermediateSize = 98
    #expect(
      shape.tensorDegreeProblem(4)?.message
        == "tensor parallel degree 4 does not divide the intermediate size 98")
  }

  @Test func oneMistakeBringsNoOthers() {
    #expect(overrideProblems("model.heads=x").count == 1)
    #expect(overrideProblems("training.sequence_length=x", "training.global_batch_tokens=100").count == 1)
    #expect(overrideProblems("layout.dp=x", "training.global_batch_size=9").count == 1)
    #expect(overrideProblems("data.validation_fraction=x", "training.validate_every=5").count == 1)
    #expect(overrideProblems("training.steps=x", "training.warmup_steps=50").count == 1)
  }

  @Test func ropeScaling() {
    let lines = overrideProblems("model.rope_scaling={factor: 0.5, high_frequency_factor: 1, extra: 2}")
    #expect(lines.count == 4)
    #expect(lines.contains { $0.hasPrefix("--set model.rope_scaling.original_maximum_position: is missing") })
    #expect(lines.contains { $0.hasPrefix("--set model.rope_scaling.factor: 0.5 is out of range") })
    #expect(lines.contains { $0.hasPrefix("--set model.rope_scaling.extra: is an unknown key") })
    #expect(lines.contains { $0.contains("low_frequency_factor: 1.0 is not below") })
  }
}
