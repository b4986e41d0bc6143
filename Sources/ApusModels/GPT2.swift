import ApusProgram

// Shapes: T tokens, D hidden size, F intermediate size, V vocabulary, P positions.

/// GPT-2: pre-norm blocks with layer norm, GELU, biases, learned positions and a tied head.
///
/// Source: Radford et al. 2019, "Language Models are Unsupervised Multitask Learners", section 2.3; weights
/// start at normal(0.02), those that write to the residual stream at 0.02 / sqrt(2 layers). Dropout applies to the
/// embeddings' sum and to what each branch adds to the residual stream; not to attention's probabilities.
struct GPT2: LanguageModel {
  private let configuration: ModelConfiguration
  private(set) var units: [ParameterUnit] = []
  var head: Tensor { tokenTable }

  private let tokenTable, positionTable: Tensor  // [V, D], [P, D]
  private let blocks: [Block]
  private let finalNorm: Norm

  private struct Norm {
    let weight, bias: Tensor
  }

  private struct Dense {
    let weight, bias: Tensor  // [inputs, outputs], [1, outputs]
  }

  private struct Block {
    let attentionNorm, feedForwardNorm: Norm
    let attentionIn, attentionOut, feedForwardIn, feedForwardOut: Dense
  }

  init(_ c: ModelConfiguration, training: Bool, in step: inout StepRecorder) {
    configuration = c
    let residual = 0.02 / (2 * Double(c.layerCount)).squareRoot()
    func norm(_ name: String, _ unit: inout UnitDeclaration) -> Norm {
      Norm(
        weight: unit.vector("\(name).weight", c.hiddenSize, .ones),
        bias: unit.vector("\(name).bias", c.hiddenSize, .zeros))
    }
    func dense(
      _ name: String, _ inputs: Int, _ outputs: Int, _ deviation: Double, _ unit: inout UnitDeclaration
    ) -> Dense {
      Dense(
        weight: unit.declare("\(name).weight", inputs, outputs, .normal(deviation: deviation)),
        bias: unit.vector("\(name).bias", outputs, .zeros))
    }
    (tokenTable, positionTable) = step.unit("embeddings", training: training, into: &units) { unit in
      (
        unit.declare(
          "transformer.wte.weight", c.vocabularySize, c.hiddenSize, .normal(deviation: 0.02)),
        unit.declare(
          "transformer.wpe.weight", c.maximumSequenceLength, c.hiddenSize, .normal(deviation: 0.02))
      )
    }
    var blocks: [Block] = []
    for layer in 0..<c.layerCount {
      let block = step.unit("layer \(layer)", training: training, into: &units) { unit in
        let name = "transformer.h.\(layer)"
        return Block(
          attentionNorm: norm("\(name).ln_1", &unit),
          feedForwardNorm: norm("\(name).ln_2", &unit),
          attentionIn: dense("\(name).attn.c_attn", c.hiddenSize, c.heads.width, 0.02, &unit),
          attentionOut: dense("\(name).attn.c_proj", c.heads.queryWidth, c.hiddenSize, residual, &unit),
          feedForwardIn: dense("\(name).mlp.c_fc", c.hiddenSize, c.intermediateSize, 0.02, &unit),
          feedForwardOut: dense("\(name).mlp.c_proj", c.intermediateSize, c.hiddenSize, residual, &unit))
      }
      blocks.append(block)
    }
    self.blocks = blocks
    finalNorm = step.unit("final norm", training: training, into: &units) { unit in
      norm("transformer.ln_f", &unit)
    }
  }

  func hiddenStates(
    _ tokens: Tensor, _ context: SequenceContext, in step: inout StepRecorder
  ) -> Tensor {
    step.label = "embeddings"
    var x_TD = step.dropout(
      step.positions(
        step.embedding(tokens, tokenTable), positionTable,
        sequenceLength: context.sequenceLength(rows: tokens.count), start: context.start))
    for (layer, block) in blocks.enumerated() {
      step.layerInput(x_TD)
      step.label = "layer \(layer) attention"
      let qkv = dense(norm(x_TD, block.attentionNorm, &step), block.attentionIn, &step)
      let mixed_TD = context.attend(qkv, configuration.heads, layer: layer, in: &step)
      x_TD = step.add(x_TD, step.dropout(dense(mixed_TD, block.attentionOut, &step)))
      step.label = "layer \(layer) feed-forward"
      let hidden_TF = dense(norm(x_TD, block.feedForwardNorm, &step), block.feedForwardIn, &step)
      x_TD = step.add(x_TD, step.dropout(dense(step.gelu(hidden_TF), block.feedForwardOut, &step)))
    }
    step.layerInput(x_TD)
    step.label = "final norm"
    return norm(x_TD, finalNorm, &step)
  }

  private func norm(_ x: Tensor, _ norm: Norm, _ step: inout StepRecorder) -> Tensor {
    step.layerNorm(x, weight: norm.weight, bias: norm.bias, epsilon: configuration.normEpsilon)
  }

  private func dense(_ x: Tensor, _ dense: Dense, _ step: inout StepRecorder) -> Tensor {
    step.linear(x, dense.weight, bias: dense.bias, layout: .inputMajor)
  }
}
