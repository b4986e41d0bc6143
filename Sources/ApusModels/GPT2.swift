import ApusProgram

// Shapes: T tokens, D hidden size, F intermediate size, V vocabulary, P positions.

/// GPT-2: pre-norm blocks with layer norm, GELU, biases, learned positions and a tied head.
///
/// Source: Radford et al. 2019, "Language Models are Unsupervised Multitask Learners", section 2.3; weights
/// start at normal(0.02), those that write to the residual stream at 0.02 / sqrt(2 layers). Dropout applies to the
/// embeddings' sum and to what each branch adds to the residual stream; not to attention's probabilities.
struct GPT2: StagedModel {
  private let configuration: ModelConfiguration
  private let boundaries: BlockBoundaries
  private let heads: HeadShape
  private(set) var units: [ParameterUnit] = []
  var vocabularySize: Int { configuration.vocabularySize }
  let parts: [StagePart]
  var head: Tensor { held(tokenTable) }

  private let tokenTable, positionTable: Tensor?  // [V, D], [P, D]
  private let blocks: [Int: Block]
  private let finalNorm: Norm?

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
    boundaries = BlockBoundaries(step.mesh)
    heads = c.heads.local(on: step.mesh)
    let parts = step.parts(layerCount: c.layerCount)
    self.parts = parts
    let sharding = GPT2Sharding(c, boundaries)
    let residual = 0.02 / (2 * Double(c.layerCount)).squareRoot()
    func norm(_ name: String, _ unit: inout UnitDeclaration) -> Norm {
      Norm(
        weight: unit.vector("\(name).weight", c.hiddenSize, .ones, split: sharding.whole),
        bias: unit.vector("\(name).bias", c.hiddenSize, .zeros, split: sharding.whole))
    }
    func matrix(
      _ name: String, _ inputs: Int, _ outputs: Int, _ deviation: Double, _ split: ParameterSplit,
      _ unit: inout UnitDeclaration
    ) -> Tensor {
      unit.declare("\(name).weight", inputs, outputs, .normal(deviation: deviation), split: split)
    }
    func bias(_ name: String, _ outputs: Int, _ split: ParameterSplit, _ unit: inout UnitDeclaration)
      -> Tensor
    {
      unit.vector("\(name).bias", outputs, .zeros, split: split)
    }
    let holdsTable = parts.contains { $0.hasEmbedding || $0.hasHead }
    tokenTable =
      holdsTable
      ? step.unit(
        "token table", training: training, into: &units, standsAlone: true
      ) { unit in
        unit.declare(
          "transformer.wte.weight", c.vocabularySize, c.hiddenSize, .normal(deviation: 0.02),
          split: sharding.tokenTable, isTied: true)
      } : nil
    positionTable =
      parts[0].hasEmbedding
      ? step.unit(
        "position table", training: training, into: &units
      ) { unit in
        unit.declare(
          "transformer.wpe.weight", c.maximumSequenceLength, c.hiddenSize, .normal(deviation: 0.02),
          split: sharding.whole)
      } : nil
    var blocks: [Int: Block] = [:]
    for (chunk, layer) in parts.numberedLayers {
      if chunk > 0, parts[chunk].layers.first == layer { step.separateUnits() }
      blocks[layer] = step.unit("layer \(layer)", training: training, into: &units) { unit in
        let name = "transformer.h.\(layer)"
        // What every rank holds comes first: it is one run where it has to be summed over the tensor axis.
        let (attentionNorm, feedForwardNorm) = (norm("\(name).ln_1", &unit), norm("\(name).ln_2", &unit))
        let attentionBias = bias("\(name).attn.c_proj", c.hiddenSize, sharding.whole, &unit)
        let feedForwardBias = bias("\(name).mlp.c_proj", c.hiddenSize, sharding.whole, &unit)
        let (d, f, heads) = (c.hiddenSize, c.intermediateSize, c.heads)
        return Block(
          attentionNorm: attentionNorm, feedForwardNorm: feedForwardNorm,
          attentionIn: Dense(
            weight: matrix("\(name).attn.c_attn", d, heads.width, 0.02, sharding.attentionIn, &unit),
            bias: bias("\(name).attn.c_attn", heads.width, sharding.attentionIn, &unit)),
          attentionOut: Dense(
            weight: matrix(
              "\(name).attn.c_proj", heads.queryWidth, d, residual, sharding.attentionOut, &unit),
            bias: attentionBias),
          feedForwardIn: Dense(
            weight: matrix("\(name).mlp.c_fc", d, f, 0.02, sharding.feedForwardIn, &unit),
            bias: bias("\(name).mlp.c_fc", f, sharding.feedForwardIn, &unit)),
          feedForwardOut: Dense(
            weight: matrix("\(name).mlp.c_proj", f, d, residual, sharding.feedForwardOut, &unit),
            bias: feedForwardBias))
      }
    }
    self.blocks = blocks
    finalNorm =
      parts[parts.count - 1].hasHead
      ? step.unit(
        "final norm", training: training, into: &units
      ) { unit in norm("transformer.ln_f", &unit) } : nil
  }

  func handedOn(rows: Int, in step: StepRecorder) -> Signature {
    boundaries.handedOn(rows: rows, hiddenSize: configuration.hiddenSize, in: step)
  }

  func embedded(_ tokens: Tensor, _ context: SequenceContext, in step: inout StepRecorder) -> Tensor {
    step.label = "embeddings"
    let embedded = step.embedding(
      tokens, held(tokenTable), vocabularySize: configuration.vocabularySize)
    return step.dropout(
      step.positions(
        boundaries.leave(embedded, in: &step), held(positionTable),
        sequenceLength: context.sequenceLength(rows: tokens.count), start: context.start))
  }

  func layers(
    _ layers: Range<Int>, _ x: Tensor, _ context: SequenceContext, in step: inout StepRecorder
  ) -> Tensor {
    var x_TD = x
    for layer in layers {
      let block = held(blocks[layer])
      step.layerInput(x_TD)
      // One place in the embeddings, two a layer.
      step.continueDropout(after: 1 + 2 * layer)
      step.label = "layer \(layer) attention"
      let qkv = dense(norm(x_TD, block.attentionNorm, &step), block.attentionIn, &step)
      let mixed_TD = context.attend(qkv, heads, layer: layer, in: &step)
      x_TD = step.add(x_TD, step.dropout(leave(mixed_TD, block.attentionOut, &step)))
      step.label = "layer \(layer) feed-forward"
      let hidden_TF = dense(norm(x_TD, block.feedForwardNorm, &step), block.feedForwardIn, &step)
      x_TD = step.add(x_TD, step.dropout(leave(step.gelu(hidden_TF), block.feedForwardOut, &step)))
    }
    step.layerInput(x_TD)
    return x_TD
  }

  func finished(_ x: Tensor, in step: inout StepRecorder) -> Tensor {
    step.label = "final norm"
    return boundaries.enter(norm(x, held(finalNorm), &step), in: &step)
  }

  private func norm(_ x: Tensor, _ norm: Norm, _ step: inout StepRecorder) -> Tensor {
    step.layerNorm(x, weight: norm.weight, bias: norm.bias, epsilon: configuration.normEpsilon)
  }

  private func dense(_ x: Tensor, _ dense: Dense, _ step: inout StepRecorder) -> Tensor {
    step.linear(boundaries.enter(x, in: &step), dense.weight, bias: dense.bias, layout: .inputMajor)
  }

  private func leave(_ x: Tensor, _ dense: Dense, _ step: inout StepRecorder) -> Tensor {
    boundaries.leave(x, times: dense.weight, bias: dense.bias, layout: .inputMajor, in: &step)
  }
}
