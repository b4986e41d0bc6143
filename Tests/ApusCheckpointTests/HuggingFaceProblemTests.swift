import ApusCheckpoint
import ApusModels
import Foundation
import Testing

/// Folders that are wrong in one way each, made from a sound one.
@Suite struct HuggingFaceProblemTests {
  private static func copy(of name: String) throws -> Scratch {
    let scratch = Scratch()
    for file in try FileManager.default.contentsOfDirectory(atPath: fixture(name).path) {
      try FileManager.default.copyItem(
        at: fixture(name + "/" + file), to: scratch.url.appendingPathComponent(file))
    }
    return scratch
  }

  private static func opening(_ scratch: Scratch) -> String {
    message { _ = try HuggingFaceFolder(opening: scratch.url) }
  }

  /// What opening says once some text of a JSON file is another.
  private static func opening(
    _ name: String, replacing old: String, with new: String, in file: String = "config.json"
  ) throws -> String {
    let scratch = try copy(of: name)
    let text = String(decoding: try scratch.read(file), as: UTF8.self)
    try #require(text.contains(old))
    try scratch.write(Array(text.replacingOccurrences(of: old, with: new).utf8), file)
    return opening(scratch)
  }

  @Test(arguments: [
    ("gpt2-tied", "\"model_type\": \"gpt2\"", "\"model_type\": \"qwen2\"", "biases on query, key and value"),
    ("gpt2-tied", "\"model_type\": \"gpt2\"", "\"model_type\": \"bert\"", "supported are gpt2, llama"),
    ("gpt2-tied", "\"gelu_new\"", "\"relu\"", "activation_function is \"relu\"; only \"gelu_new\""),
    (
      "gpt2-tied", "\"scale_attn_weights\": true", "\"scale_attn_weights\": false",
      "scale_attn_weights is false"
    ),
    ("gpt2-tied", "\"n_embd\": 8", "\"n_embd\": 9", "n_head 2 does not divide n_embd 9"),
    ("gpt2-tied", "\"n_embd\": 8", "\"n_embd\": -8", "n_embd is -8, expected a whole number"),
    ("gpt2-tied", "\"n_embd\": 8", "\"n_embd\": 8.0", "n_embd is 8.0, expected a whole number"),
    ("gpt2-tied", "\"n_embd\": 8", "\"n_embd\": 12", "has shape [11, 8], config.json implies [11, 12]"),
    ("gpt2-tied", "\"n_embd\": 8,", "", "n_embd is missing"),
    ("gpt2-tied", "\"n_embd\": 8,", "\"n_embd\": 8,,", "not JSON: expected a key at byte"),
    ("gpt2-tied", "\"n_layer\": 2", "\"n_layer\": 3", "missing: transformer.h.2.ln_1.weight"),
    ("gpt2-tied", "\"n_layer\": 2", "\"n_layer\": 1", "unknown to gpt2: transformer.h.1."),
    ("gpt2-tied", "\"n_layer\": 2", "\"n_layer\": 2000000000", "layers are more than"),
    (
      "gpt2-untied", "\"tie_word_embeddings\": false", "\"tie_word_embeddings\": true",
      "differs from the token table"
    ),
    (
      "gpt2-tied", "\"tie_word_embeddings\": true", "\"tie_word_embeddings\": false",
      "missing: lm_head.weight"
    ),
    ("gpt2-tied", "\"tie_word_embeddings\": true", "\"tie_word_embeddings\": 1", "expected true or false"),
    ("llama-untied-stretched", "\"silu\"", "\"gelu\"", "hidden_act is \"gelu\"; only \"silu\""),
    (
      "llama-untied-stretched", "\"attention_bias\": false", "\"attention_bias\": true", "biases in attention"
    ),
    ("llama-untied-stretched", "\"mlp_bias\": false", "\"mlp_bias\": true", "biases in the feed-forward"),
    ("llama-untied-stretched", "\"llama3\"", "\"yarn\"", "of type \"yarn\" is not supported"),
    ("llama-untied-stretched", "\"high_freq_factor\": 4.0", "\"high_freq_factor\": 0.5", "must be above"),
    ("llama-untied-stretched", "\"factor\": 8.0,", "", "rope_parameters.factor is missing"),
    (
      "llama-untied-stretched", "\"num_key_value_heads\": 2", "\"num_key_value_heads\": 3",
      "does not divide the 4"
    ),
    (
      "llama-untied-stretched", "\"num_key_value_heads\": 2", "\"num_key_value_heads\": null",
      "[8, 8], config.json implies [16, 8]"
    ),
    ("llama-untied-stretched", "\"head_dim\": 4", "\"head_dim\": 5", "even sizes up to 256"),
    ("llama-untied-stretched", "\"pad_token_id\": 0", "\"quantization_config\": {}", "quantized"),
  ]) func refusals(_ name: String, _ old: String, _ new: String, _ expected: String) throws {
    let line = try Self.opening(name, replacing: old, with: new)
    #expect(line.contains(expected), "\(line)")
    #expect(!line.contains("\n"))
  }

  @Test func olderSpellingsAreUnderstood() throws {
    let old = """
      {"model_type": "llama", "vocab_size": 13, "hidden_size": 8, "intermediate_size": 12, "head_dim": 4,
       "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2, "rope_theta": 1e6,
       "max_position_embeddings": 64, "eos_token_id": [7, 8], "torch_dtype": "bfloat16",
       "rope_scaling": {"type": "llama3", "factor": 2, "low_freq_factor": 1, "high_freq_factor": 4,
                        "original_max_position_embeddings": 16}}
      """
    let scratch = try Self.copy(of: "llama-untied-stretched")
    try scratch.write(Array(old.utf8), "config.json")
    let folder = try HuggingFaceFolder(opening: scratch.url)
    #expect(folder.configuration.ropeTheta == 1e6 && folder.configuration.ropeScaling?.factor == 2)
    #expect(folder.configuration.normEpsilon == 1e-6 && !folder.configuration.tiedEmbeddings)
    #expect(folder.specialTokens == SpecialTokens(endOfText: 7))
  }

  @Test func buffersAndARepeatedHeadAreIgnored() throws {
    let scratch = try Self.copy(of: "gpt2-tied")
    let sound = try HuggingFaceFolder(opening: fixture("gpt2-tied"))
    func rewrite(_ extra: [SafetensorsEntry], _ bytes: [[UInt8]]) throws {
      let entries = sound.tensors.map {
        SafetensorsEntry(name: $0.name, type: .float32, shape: $0.shape)
      }
      var writer = try SafetensorsWriter.create(scratch.path("model.safetensors"), tensors: entries + extra)
      for tensor in sound.tensors {
        try numbers(tensor.name, in: sound).withUnsafeBufferPointer {
          try writer.append(UnsafeRawBufferPointer($0))
        }
      }
      for part in bytes { try part.withUnsafeBufferPointer { try writer.append(UnsafeRawBufferPointer($0)) } }
      _ = try writer.finish()
    }
    let table = try numbers("transformer.wte.weight", in: sound).flatMap { number in
      withUnsafeBytes(of: number) { Array($0) }
    }
    let mask = SafetensorsEntry(name: "h.0.attn.bias", type: .uint8, shape: [1, 1, 6, 6])
    let head = SafetensorsEntry(name: "lm_head.weight", type: .float32, shape: [11, 8])
    try rewrite([mask, head], [[UInt8](repeating: 1, count: 36), table])
    #expect(Self.opening(scratch) == "")
    try rewrite([SafetensorsEntry(name: "wte.weight", type: .float32, shape: [11, 8])], [table])
    #expect(Self.opening(scratch).contains("transformer.wte.weight is there twice"))
    try rewrite([SafetensorsEntry(name: "score.weight", type: .uint8, shape: [1])], [[1]])
    #expect(Self.opening(scratch).contains("unknown to gpt2: transformer.score.weight"))
  }

  @Test func missingFilesAreNamed() throws {
    let scratch = try Self.copy(of: "llama-tied-sharded-float16")
    try FileManager.default.removeItem(atPath: scratch.path("model-00002-of-00002.safetensors"))
    #expect(Self.opening(scratch).hasSuffix(": the shard model-00002-of-00002.safetensors is missing"))

    try FileManager.default.removeItem(atPath: scratch.path("model.safetensors.index.json"))
    #expect(Self.opening(scratch).contains("neither model.safetensors nor"))
    try scratch.write([0], "pytorch_model.bin")
    #expect(Self.opening(scratch).contains("save_pretrained"))
    try FileManager.default.removeItem(atPath: scratch.path("config.json"))
    #expect(Self.opening(scratch).contains("it has no config.json"))

    let index = "model.safetensors.index.json"
    let name = "llama-tied-sharded-float16"
    #expect(
      try Self.opening(name, replacing: "00001-of", with: "00002-of", in: index)
        .contains("is not in model-00002-of-00002.safetensors, where the index says it is"))
    #expect(
      try Self.opening(name, replacing: "model-00001", with: "../model-00001", in: index).contains(
        "not mapped"))
    #expect(try Self.opening(name, replacing: "weight_map", with: "map", in: index).contains("no weight_map"))
  }
}
