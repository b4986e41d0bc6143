import ApusModels

/// A parameter as Hugging Face folders name and shape it.
package struct ExchangeTensor: Hashable, Sendable {
  package var name: String
  package var shape: [Int]

  package init(_ name: String, _ shape: [Int]) {
    self.name = name
    self.shape = shape
  }

  /// Elements of the tensor.
  package var elementCount: Int { shape.reduce(1, *) }
}

/// The names under which `transformers` knows the parameters of the two families.
package enum HuggingFaceNames {
  // Shapes: V vocabulary, P positions, D hidden size, F intermediate size, H query heads, K key and value
  // heads, S elements of a head.

  /// Every parameter of a model, in the order in which the forward pass meets them. A tied head has none.
  ///
  /// GPT-2 keeps its matrices as [inputs, outputs], Llama as [outputs, inputs].
  package static func tensors(of model: ModelConfiguration) -> [ExchangeTensor] {
    var result: [ExchangeTensor]
    switch model.family {
    case .gpt2: result = gpt2(model)
    case .llama: result = llama(model)
    }
    if !model.tiedEmbeddings {
      result.append(ExchangeTensor(head, [model.vocabularySize, model.hiddenSize]))
    }
    return result
  }

  /// The output head, which has the same name in both families.
  package static let head = "lm_head.weight"

  /// The token table, which a tied head shares.
  package static func tokenTable(of family: ModelConfiguration.Family) -> String {
    switch family {
    case .gpt2: "transformer.wte.weight"
    case .llama: "model.embed_tokens.weight"
    }
  }

  /// What the full model puts in front of the names of the model without a head.
  static func prefix(of family: ModelConfiguration.Family) -> String {
    switch family {
    case .gpt2: "transformer."
    case .llama: "model."
    }
  }

  /// The full name of a tensor that a folder may name with or without the prefix.
  static func fullName(_ name: String, of family: ModelConfiguration.Family) -> String {
    let prefix = prefix(of: family)
    return name == head || name.hasPrefix(prefix) ? name : prefix + name
  }

  /// Whether a tensor is one that older folders carry though it is computed: causal masks and rotary
  /// frequencies.
  static func isBuffer(_ fullName: String) -> Bool {
    [".attn.bias", ".attn.masked_bias", "rotary_emb.inv_freq"].contains { fullName.hasSuffix($0) }
  }

  private static func gpt2(_ model: ModelConfiguration) -> [ExchangeTensor] {
    let (D, F) = (model.hiddenSize, model.intermediateSize)
    var result = [
      ExchangeTensor("transformer.wte.weight", [model.vocabularySize, D]),
      ExchangeTensor("transformer.wpe.weight", [model.maximumSequenceLength, D]),
    ]
    for layer in 0..<model.layerCount {
      let block = "transformer.h.\(layer)."
      result += [
        ExchangeTensor(block + "ln_1.weight", [D]), ExchangeTensor(block + "ln_1.bias", [D]),
        ExchangeTensor(block + "attn.c_attn.weight", [D, 3 * D]),
        ExchangeTensor(block + "attn.c_attn.bias", [3 * D]),
        ExchangeTensor(block + "attn.c_proj.weight", [D, D]),
        ExchangeTensor(block + "attn.c_proj.bias", [D]),
        ExchangeTensor(block + "ln_2.weight", [D]), ExchangeTensor(block + "ln_2.bias", [D]),
        ExchangeTensor(block + "mlp.c_fc.weight", [D, F]), ExchangeTensor(block + "mlp.c_fc.bias", [F]),
        ExchangeTensor(block + "mlp.c_proj.weight", [F, D]), ExchangeTensor(block + "mlp.c_proj.bias", [D]),
      ]
    }
    return result + [
      ExchangeTensor("transformer.ln_f.weight", [D]), ExchangeTensor("transformer.ln_f.bias", [D]),
    ]
  }

  private static func llama(_ model: ModelConfiguration) -> [ExchangeTensor] {
    let (D, F) = (model.hiddenSize, model.intermediateSize)
    let (HS, KS) = (model.headCount * model.headSize, model.keyValueHeadCount * model.headSize)
    var result = [ExchangeTensor("model.embed_tokens.weight", [model.vocabularySize, D])]
    for layer in 0..<model.layerCount {
      let block = "model.layers.\(layer)."
      result += [
        ExchangeTensor(block + "input_layernorm.weight", [D]),
        ExchangeTensor(block + "self_attn.q_proj.weight", [HS, D]),
        ExchangeTensor(block + "self_attn.k_proj.weight", [KS, D]),
        ExchangeTensor(block + "self_attn.v_proj.weight", [KS, D]),
        ExchangeTensor(block + "self_attn.o_proj.weight", [D, HS]),
        ExchangeTensor(block + "post_attention_layernorm.weight", [D]),
        ExchangeTensor(block + "mlp.gate_proj.weight", [F, D]),
        ExchangeTensor(block + "mlp.up_proj.weight", [F, D]),
        ExchangeTensor(block + "mlp.down_proj.weight", [D, F]),
      ]
    }
    return result + [ExchangeTensor("model.norm.weight", [D])]
  }
}
