import ApusProgram

// Shapes: T tokens, D hidden size, F intermediate size, V vocabulary, P positions.

/// Llama: pre-norm blocks with RMS norm, rotary positions, grouped-query attention and SwiGLU, no biases.
///
/// Sources: Touvron et al. 2023; Grattafiori et al. 2024, section 3.2. Queries, keys and values come from
/// one matrix, gate and up from another; published files hold their row ranges under separate names.
struct Llama: StagedModel {
  private let configuration: ModelConfiguration
  private let boundaries: BlockBoundaries
  private let heads: HeadShape
  private(set) var units: [ParameterUnit] = []
  var vocabularySize: Int { configuration.vocabularySize }
  let parts: [StagePart]
  var head: Tensor { held(headTable) }

  private let tokenTable, headTable: Tensor?  // [V, D]
  private let cosines, sines: Tensor  // [P, headSize / 2]
  private let blocks: [Int: Block]
  private let finalNorm: Tensor?

  private struct Block {
    let attentionNorm, feedForwardNorm: Tensor  // [1, D]
    let queryKeyValue, attentionOut: Tensor  // [width, D], [D, queryWidth]
    let gateUp, down: Tensor?  // [2F, D], [D, F]
    let router: Tensor?  // [E, D]
    var experts: ExpertWeights?
  }

  init(_ c: ModelConfiguration, training: Bool, in step: inout StepRecorder) {
    configuration = c
    boundaries = BlockBoundaries(step.mesh)
    heads = c.heads.local(on: step.mesh)
    let parts = step.parts(layerCount: c.layerCount)
    self.parts = parts
    let hasHead = parts[parts.count - 1].hasHead
    let sharding = LlamaSharding(c, boundaries)
    let residual = Initializer.normal(deviation: 0.02 / (2 * Double(c.layerCount)).squareRoot())
    let plain = Initializer.normal(deviation: 0.02)
    let (d, f) = (c.hiddenSize, c.intermediateSize)
    let holdsTable = parts[0].hasEmbedding || c.tiedEmbeddings && hasHead
    tokenTable =
      holdsTable
      ? step.unit(
        "token table", training: training, into: &units, standsAlone: true
      ) { unit in
        unit.declare(
          "model.embed_tokens.weight", c.vocabularySize, d, plain, split: sharding.vocabulary,
          isTied: c.tiedEmbeddings)
      } : nil
    var blocks: [Int: Block] = [:]
    for (chunk, layer) in parts.numberedLayers {
      if chunk > 0, parts[chunk].layers.first == layer { step.separateUnits() }
      let name = "model.layers.\(layer)"
      var block = step.unit("layer \(layer)", training: training, into: &units) { unit in
        Block(
          attentionNorm: unit.vector("\(name).input_layernorm.weight", d, .ones, split: sharding.whole),
          feedForwardNorm: unit.vector(
            "\(name).post_attention_layernorm.weight", d, .ones, split: sharding.whole),
          queryKeyValue: unit.declare(
            "\(name).self_attn.qkv_proj.weight", c.heads.width, d, plain, split: sharding.queryKeyValue(name)),
          attentionOut: unit.declare(
            "\(name).self_attn.o_proj.weight", d, c.heads.queryWidth, residual, split: sharding.attentionOut),
          gateUp: c.experts == nil
            ? unit.declare(
              "\(name).mlp.gate_up_proj.weight", 2 * f, d, plain, split: sharding.gateUp(name)) : nil,
          down: c.experts == nil
            ? unit.declare("\(name).mlp.down_proj.weight", d, f, residual, split: sharding.down) : nil,
          router: c.experts.map {
            unit.declare("\(name).mlp.gate.weight", $0.count, d, plain, split: sharding.whole)
          })
      }
      if let router = block.router, let count = c.experts?.count {
        block.experts = step.unit(
          "layer \(layer) experts", training: training, into: &units, standsAlone: true,
          isExpert: step.mesh.degree(of: .expert) > 1
        ) { unit in
          ExpertWeights(
            router: router,
            gateUp: unit.declare(
              "\(name).mlp.experts.gate_up_proj", count * 2 * f, d, plain,
              split: sharding.experts(count * 2 * f)),
            down: unit.declare(
              "\(name).mlp.experts.down_proj", count * d, f, residual, split: sharding.experts(count * d)))
        }
      }
      blocks[layer] = block
    }
    self.blocks = blocks
    let ending =
      hasHead
      ? step.unit("final norm and head", training: training, into: &units) { unit in
        (
          norm: unit.vector("model.norm.weight", d, .ones, split: sharding.whole),
          head: c.tiedEmbeddings
            ? nil : unit.declare("lm_head.weight", c.vocabularySize, d, plain, split: sharding.vocabulary)
        )
      } : nil
    finalNorm = ending?.norm
    headTable = ending?.head ?? (c.tiedEmbeddings ? tokenTable : nil)
    let table = Signature(c.maximumSequenceLength, c.headSize / 2)
    cosines = step.tensor("rotary cosines", .input, table)
    sines = step.tensor("rotary sines", .input, table)
  }

  /// The rotary tables that the runtime fills.
  var tables: [StepProgram.TableTensor] {
    let frequencies = RotaryFrequencies.values(of: configuration)
    return [
      .init(tensor: cosines, content: .rotary(sine: false, frequencies: frequencies)),
      .init(tensor: sines, content: .rotary(sine: true, frequencies: frequencies)),
    ]
  }

  func handedOn(rows: Int, in step: StepRecorder) -> Signature {
    boundaries.handedOn(rows: rows, hiddenSize: configuration.hiddenSize, in: step)
  }

  func embedded(_ tokens: Tensor, _ context: SequenceContext, in step: inout StepRecorder) -> Tensor {
    step.label = "embeddings"
    let embedded = step.embedding(
      tokens, held(tokenTable), vocabularySize: configuration.vocabularySize)
    return boundaries.leave(embedded, in: &step)
  }

  func layers(
    _ layers: Range<Int>, _ x: Tensor, _ context: SequenceContext, in step: inout StepRecorder
  ) -> Tensor {
    var x_TD = x
    for layer in layers {
      let block = held(blocks[layer])
      step.layerInput(x_TD)
      step.label = "layer \(layer) attention"
      let product = step.linear(
        boundaries.enter(norm(x_TD, block.attentionNorm, &step), in: &step), block.queryKeyValue,
        layout: .outputMajor)
      let qkv = step.rotary(
        product, cosines: cosines, sines: sines, headCount: heads.headCount + heads.keyValueHeadCount,
        headSize: heads.headSize, sequenceLength: context.sequenceLength(rows: product.rows),
        start: context.start)
      let mixed = context.attend(qkv, heads, layer: layer, in: &step)
      x_TD = step.add(
        x_TD, boundaries.leave(mixed, times: block.attentionOut, layout: .outputMajor, in: &step))
      step.label = "layer \(layer) feed-forward"
      x_TD = step.add(x_TD, feedForward(norm(x_TD, block.feedForwardNorm, &step), block, &step))
    }
    step.layerInput(x_TD)
    return x_TD
  }

  func finished(_ x: Tensor, in step: inout StepRecorder) -> Tensor {
    step.label = "final norm"
    return boundaries.enter(norm(x, held(finalNorm), &step), in: &step)
  }

  private func feedForward(_ x: Tensor, _ block: Block, _ step: inout StepRecorder) -> Tensor {
    if let weights = block.experts, let experts = configuration.experts {
      // Every rank sends its own tokens, so that a block is neither entered nor left.
      return step.experts(
        x, weights,
        ExpertRouting(
          count: experts.count, perToken: experts.perToken, capacityFactor: experts.capacityFactor,
          tokens: x.rows))
    }
    let gateUp = step.linear(
      boundaries.enter(x, in: &step), held(block.gateUp), layout: .outputMajor)
    return boundaries.leave(step.swiglu(gateUp), times: held(block.down), layout: .outputMajor, in: &step)
  }

  private func norm(_ x: Tensor, _ weight: Tensor, _ step: inout StepRecorder) -> Tensor {
    step.rmsNorm(x, weight: weight, epsilon: configuration.normEpsilon)
  }
}
