import ApusCore
import ApusModels

/// The token numbers that a `config.json` gives a meaning, where it does.
package struct SpecialTokens: Hashable, Sendable, Codable {
  package var beginOfText: Int?
  package var endOfText: Int?
  package var padding: Int?

  package init(beginOfText: Int? = nil, endOfText: Int? = nil, padding: Int? = nil) {
    self.beginOfText = beginOfText
    self.endOfText = endOfText
    self.padding = padding
  }
}

/// Translates between `config.json` and `ModelConfiguration`.
///
/// Missing fields take the defaults of `transformers`; the sizes of the model have none here.
enum HuggingFaceConfiguration {
  /// Reads a `config.json`, or returns everything that keeps Apus from computing this model.
  static func read(
    _ root: JSONValue
  ) -> (model: ModelConfiguration, tokens: SpecialTokens, problems: [String]) {
    var fields = ConfigurationFields(root)
    let unread = ModelConfiguration(
      family: .gpt2, vocabularySize: 1, maximumSequenceLength: 1, layerCount: 1, hiddenSize: 1, headCount: 1)
    guard case .object = root else { return (unread, SpecialTokens(), ["config.json holds no object"]) }
    guard let type = root["model_type"]?.string, let family = ModelConfiguration.Family(rawValue: type) else {
      return (unread, SpecialTokens(), [unsupported(root["model_type"]?.string)])
    }
    if fields.present("quantization_config") != nil {
      fields.problems.append("the weights are quantized; use the folder of the original model")
    }
    var model: ModelConfiguration
    switch family {
    case .gpt2: model = gpt2(&fields)
    case .llama: model = llama(&fields)
    }
    if fields.problems.isEmpty { fields.problems += impossibilities(of: model) }
    return (model, specialTokens(root), fields.problems)
  }

  private static func gpt2(_ fields: inout ConfigurationFields) -> ModelConfiguration {
    let hidden = fields.size("n_embd")
    let heads = fields.size("n_head")
    fields.demand("activation_function", "gelu_new")
    fields.demand("scale_attn_weights", true, because: "attention without its scale is not supported")
    fields.demand("scale_attn_by_inverse_layer_idx", false, because: "that scaling is not supported")
    fields.demand("add_cross_attention", false, because: "only decoders are supported")
    if hidden % heads != 0 { fields.problems.append("n_head \(heads) does not divide n_embd \(hidden)") }
    return ModelConfiguration(
      family: .gpt2, vocabularySize: fields.size("vocab_size"),
      maximumSequenceLength: fields.size("n_positions"), layerCount: fields.size("n_layer"),
      hiddenSize: hidden, headCount: heads, intermediateSize: fields.size("n_inner", default: 4 * hidden),
      tiedEmbeddings: fields.flag("tie_word_embeddings", default: true),
      normEpsilon: fields.positive("layer_norm_epsilon", default: 1e-5))
  }

  private static func llama(_ fields: inout ConfigurationFields) -> ModelConfiguration {
    let hidden = fields.size("hidden_size")
    let heads = fields.size("num_attention_heads")
    let keyValueHeads = fields.size("num_key_value_heads", default: heads)
    fields.demand("hidden_act", "silu")
    fields.demand("attention_bias", false, because: "biases in attention are not supported")
    fields.demand("mlp_bias", false, because: "biases in the feed-forward block are not supported")
    if fields.present("head_dim") == nil, hidden % heads != 0 {
      fields.problems.append(
        "num_attention_heads \(heads) does not divide hidden_size \(hidden), and there is no head_dim")
    }
    if heads % keyValueHeads != 0 {
      fields.problems.append("num_key_value_heads \(keyValueHeads) does not divide the \(heads) heads")
    }
    let rope = HuggingFaceRope.read(&fields)
    return ModelConfiguration(
      family: .llama, vocabularySize: fields.size("vocab_size"),
      maximumSequenceLength: fields.size("max_position_embeddings", default: 2048),
      layerCount: fields.size("num_hidden_layers"), hiddenSize: hidden, headCount: heads,
      keyValueHeadCount: keyValueHeads, headSize: fields.size("head_dim", default: max(1, hidden / heads)),
      intermediateSize: fields.size("intermediate_size"),
      tiedEmbeddings: fields.flag("tie_word_embeddings", default: false),
      normEpsilon: fields.positive("rms_norm_eps", default: 1e-6), ropeTheta: rope.theta,
      ropeScaling: rope.scaling)
  }

  /// What Apus cannot compute although every field is well formed.
  static func impossibilities(of model: ModelConfiguration) -> [String] {
    var problems: [String] = []
    if model.headSize > 256 || model.headSize % 2 != 0 {
      problems.append("heads of \(model.headSize) elements are not supported; even sizes up to 256 are")
    }
    if model.layerCount > 65_536 {
      problems.append("\(model.layerCount) layers are more than the 65536 that are supported")
    }
    if model.family == .gpt2 {
      if model.headSize * model.headCount != model.hiddenSize {
        problems.append("GPT-2 needs heads that together have the hidden size \(model.hiddenSize)")
      }
      if model.keyValueHeadCount != model.headCount {
        problems.append("GPT-2 has no grouped-query attention; use the family llama")
      }
      if model.ropeScaling != nil { problems.append("GPT-2 has no rotary positions to scale") }
    }
    return problems
  }

  private static func specialTokens(_ root: JSONValue) -> SpecialTokens {
    /// The first number where newer models list several.
    func token(_ key: String) -> Int? { root[key]?.integer ?? root[key]?.integers?.first }
    return SpecialTokens(
      beginOfText: token("bos_token_id"), endOfText: token("eos_token_id"), padding: token("pad_token_id"))
  }

  private static func unsupported(_ type: String?) -> String {
    let supported = ModelConfiguration.Family.allCases.map(\.rawValue).joined(separator: ", ")
    guard let type else { return "config.json names no model_type; supported are \(supported)" }
    let differences = [
      "mistral": "like llama, but with sliding-window attention", "mixtral": "with experts",
      "qwen2": "like llama, but with biases on query, key and value",
      "qwen3": "like llama, but with norms on query and key",
      "gemma": "like llama, but with GELU and scaled norms",
      "phi3": "like llama, but with fused projections", "gpt_neo": "like gpt2, but with local attention",
      "gpt_neox": "with rotary positions and parallel blocks",
      "gpt_bigcode": "like gpt2, but with one key head",
    ]
    let difference = differences[type].map { " (\($0))" } ?? ""
    return "model_type \"\(type)\"\(difference) is not supported; supported are \(supported)"
  }
}
