import ApusCore
import ApusModels

extension HuggingFaceConfiguration {
  /// The `config.json` of a model whose weights are stored as `type`.
  static func json(of model: ModelConfiguration, as type: WeightType, tokens: SpecialTokens) -> JSONValue {
    var members: [JSONMember]
    switch model.family {
    case .gpt2:
      members = [
        JSONMember("architectures", .array([.string("GPT2LMHeadModel")])),
        JSONMember("model_type", .string("gpt2")),
        JSONMember("activation_function", .string("gelu_new")),
        JSONMember("attn_pdrop", .number(0.0)),
        JSONMember("embd_pdrop", .number(0.0)),
        JSONMember("resid_pdrop", .number(0.0)),
        JSONMember("layer_norm_epsilon", .number(model.normEpsilon)),
        JSONMember("n_embd", .number(model.hiddenSize)),
        JSONMember("n_head", .number(model.headCount)),
        JSONMember(
          "n_inner",
          model.intermediateSize == 4 * model.hiddenSize ? .null : .number(model.intermediateSize)),
        JSONMember("n_layer", .number(model.layerCount)),
        JSONMember("n_positions", .number(model.maximumSequenceLength)),
      ]
    case .llama:
      members = [
        JSONMember("architectures", .array([.string("LlamaForCausalLM")])),
        JSONMember("model_type", .string("llama")),
        JSONMember("attention_bias", .bool(false)),
        JSONMember("attention_dropout", .number(0.0)),
        JSONMember("head_dim", .number(model.headSize)),
        JSONMember("hidden_act", .string("silu")),
        JSONMember("hidden_size", .number(model.hiddenSize)),
        JSONMember("intermediate_size", .number(model.intermediateSize)),
        JSONMember("max_position_embeddings", .number(model.maximumSequenceLength)),
        JSONMember("mlp_bias", .bool(false)),
        JSONMember("num_attention_heads", .number(model.headCount)),
        JSONMember("num_hidden_layers", .number(model.layerCount)),
        JSONMember("num_key_value_heads", .number(model.keyValueHeadCount)),
        JSONMember("rms_norm_eps", .number(model.normEpsilon)),
      ]
      members += HuggingFaceRope.members(of: model)
    }
    members += [
      JSONMember("tie_word_embeddings", .bool(model.tiedEmbeddings)),
      JSONMember("vocab_size", .number(model.vocabularySize)),
      JSONMember("torch_dtype", .string(type.torchName)),
      JSONMember("use_cache", .bool(true)),
    ]
    return .object(members + tokenMembers(tokens))
  }

  /// The `generation_config.json` that goes with it.
  static func generationJSON(tokens: SpecialTokens) -> JSONValue {
    .object([JSONMember("_from_model_config", .bool(true))] + tokenMembers(tokens))
  }

  /// A `tokenizer_config.json` that makes `AutoTokenizer` read the `tokenizer.json` beside it.
  ///
  /// - Parameter contents: the parsed `tokenizer.json`, where the texts of the special tokens are found.
  static func tokenizerJSON(
    of model: ModelConfiguration, tokens: SpecialTokens, contents: JSONValue
  ) -> JSONValue {
    var members = [
      JSONMember("tokenizer_class", .string("PreTrainedTokenizerFast")),
      JSONMember("model_max_length", .number(model.maximumSequenceLength)),
      JSONMember("clean_up_tokenization_spaces", .bool(false)),
    ]
    guard case .array(let added)? = contents["added_tokens"] else { return .object(members) }
    let named = [
      ("bos_token", tokens.beginOfText), ("eos_token", tokens.endOfText), ("pad_token", tokens.padding),
    ]
    for (key, id) in named {
      if let id, let text = added.first(where: { $0["id"]?.integer == id })?["content"]?.string {
        members.append(JSONMember(key, .string(text)))
      }
    }
    return .object(members)
  }

  private static func tokenMembers(_ tokens: SpecialTokens) -> [JSONMember] {
    func value(_ id: Int?) -> JSONValue { id.map { .number($0) } ?? .null }
    return [
      JSONMember("bos_token_id", value(tokens.beginOfText)),
      JSONMember("eos_token_id", value(tokens.endOfText)),
      JSONMember("pad_token_id", value(tokens.padding)),
    ]
  }
}
