import ApusProgram

/// Prices the instructions of a recorded program on hardware: the one place where operations meet devices.
///
/// Every operation is named, so that a new one does not compile until it has a price.
package struct InstructionCost: Sendable {
  package let job: TrainingJob
  let constants: CostConstants
  let products: MatrixProductCost
  private let attention: AttentionCost

  package init(_ job: TrainingJob, _ constants: CostConstants) {
    self.job = job
    self.constants = constants
    products = MatrixProductCost(hardware: job.hardware, constants: constants)
    attention = AttentionCost(
      hardware: job.hardware, constants: constants, kernel: job.attention, numbers: job.numbers)
  }

  /// - Parameter storages: of the program that the instruction belongs to.
  func price(_ instruction: Instruction, _ storages: [Storage]) -> Price {
    let (inputs, outputs) = (instruction.inputs, instruction.outputs)
    switch instruction.op {
    case .linear(let linear):
      let (x, w) = (inputs[0], inputs[1])
      let n = linear.layout == .inputMajor ? w.columns : w.rows
      return product(m: x.rows, n: n, k: x.columns, sumsOverTokens: false, instruction, storages)
    case .product(let product):
      let k = product.transposeA ? inputs[0].rows : inputs[0].columns
      let c = outputs[0].tensor
      return self.product(
        m: c.rows, n: c.columns, k: k, sumsOverTokens: product.transposeA, instruction, storages)
    case .headLoss: return head(instruction, storages, products: 1)
    case .headLossGradient: return head(instruction, storages, products: 3)
    case .attention(let a):
      return attention.price(
        heads: a.heads, rows: inputs[0].rows, keys: a.sequenceLength * job.layout.context, backward: false)
    case .attentionGradient(let a):
      return attention.price(
        heads: a.forward.heads, rows: inputs[1].rows,
        keys: a.forward.sequenceLength * job.layout.context, backward: true)
    case .expertLinear(let linear):
      let (x, y) = (inputs[0], outputs[0].tensor)
      return experts(linear.blocks.experts, x.rows, y.columns, x.columns, instruction, storages)
    case .expertProduct(let product):
      let (dy, other) = (inputs[0], inputs[1])
      return experts(product.blocks.experts, dy.rows, other.columns, dy.columns, instruction, storages)
    case .contextAttention(let a):
      return attention.price(
        heads: a.heads, rows: inputs[0].rows, keys: a.slice.sequenceLength, backward: false)
    case .contextAttentionGradient(let a):
      return attention.price(
        heads: a.forward.heads, rows: inputs[1].rows, keys: a.forward.slice.sequenceLength, backward: true)
    case .layerNorm, .rmsNorm, .layerNormGradient, .rmsNormGradient, .layerNormWeightGradient,
      .rmsNormWeightGradient, .add, .copy, .positions, .embedding, .positionsGradient, .embeddingGradient,
      .addLayerNorm, .addRMSNorm, .gelu, .geluGradient, .biasGELU, .biasGELUGradient, .swiglu,
      .swigluGradient, .rotary, .columnSum, .cachedAttention, .bias, .dropout, .dropoutAdd, .dropoutGradient,
      .columnSlice, .columnSliceGradient,
      .route, .routeGradient, .dispatch, .dispatchGradient, .combine, .combineGradient:
      return streaming(instruction, storages)
    case .crossEntropyStatistics, .crossEntropyLosses, .crossEntropyGradient:
      // A divided head is priced whole (`dividedHead`).
      return Price()
    case .move, .startMove, .waitMove, .materialise, .send, .receive:
      // Collectives are priced by their links (`CollectiveCost`), not by the device.
      return Price()
    case .zero, .sumOfSquares, .clip, .adamW:
      // The update is priced by bytes a parameter (`OptimizerCost`): it depends on the shards.
      return Price()
    }
  }

  private func product(
    m: Int, n: Int, k: Int, sumsOverTokens: Bool, _ instruction: Instruction, _ storages: [Storage]
  ) -> Price {
    var price = Price()
    let bytes = self.bytes(instruction, storages)
    price.product = products.seconds(m: m, n: n, k: k, job.numbers.product, bytes: bytes)
    price.flops = 2 * Double(m) * Double(n) * Double(k)
    price.launches = 1
    if job.numbers.compute == .fp8 {
      // The activation is scaled and cast, read in two bytes and written in one; the norm or gate before it
      // does half of that in passing.
      let elements = Double(m) * Double(k)
      price.memory = 1.5 * elements / (job.hardware.memoryBandwidth * constants.memoryEfficiency)
      price.launches += 4
    }
    guard let experts = job.experts, instruction.isOfExperts else { return price }
    var sum = grouped(experts, m: m, n: n, k: k, sumsOverTokens: sumsOverTokens, dense: price)
    sum.memory += price.memory * Double(experts.active)
    return sum
  }

  /// A product for each of a rank's experts, with an equal share of the rows.
  private func experts(
    _ count: Int, _ rows: Int, _ n: Int, _ k: Int, _ instruction: Instruction, _ storages: [Storage]
  ) -> Price {
    var price = Price()
    let bytes = self.bytes(instruction, storages) / Double(count)
    price.product =
      Double(count) * products.seconds(m: rows / count, n: n, k: k, job.numbers.product, bytes: bytes)
    price.flops = 2 * Double(rows) * Double(n) * Double(k)
    price.launches = 1
    return price
  }

  /// Products with the table and passes over the logits, which the frameworks that are foreseen hold whole.
  private func head(_ instruction: Instruction, _ storages: [Storage], products count: Int) -> Price {
    let (x, w) = (instruction.inputs[0], instruction.inputs[1])
    return head(rows: x.rows, hidden: x.columns, vocabulary: w.rows, products: count)
  }

  /// The head where the table's rows are divided over tensor ranks: all of its work opens the backward segment.
  func dividedHead() -> Price {
    let v = (job.model.vocabularySize + job.layout.tensor - 1) / job.layout.tensor
    return head(rows: job.localTokens, hidden: job.model.hiddenSize, vocabulary: v, products: 3)
  }

  private func head(rows t: Int, hidden d: Int, vocabulary v: Int, products count: Int) -> Price {
    let precision: HardwareDescription.Precision = job.numbers.compute == .fp8 ? .bf16 : job.numbers.product
    func seconds(_ m: Int, _ n: Int, _ k: Int) -> Double {
      products.seconds(m: m, n: n, k: k, precision, bytes: 2 * Double(m * n + n * k + m * k))
    }
    var price = Price()
    price.product = seconds(t, v, d)
    if count == 3 { price.product += seconds(t, d, v) + seconds(v, d, t) }
    price.flops = 2 * Double(count) * Double(t) * Double(d) * Double(v)
    let logits = Double(t) * Double(v)
    price.loss =
      lossBytes * logits * (count == 3 ? 1 : 0.4)
      / (job.hardware.memoryBandwidth * constants.memoryEfficiency)
    price.launches = Double(4 * count)
    return price
  }

  private var lossBytes: Double {
    switch job.stack.name {
    case .apus, .megatron, .deepspeed, .eager: constants.logitBytes
    case .compiled, .nanotron: constants.logitBytesEager
    }
  }

  private func streaming(_ instruction: Instruction, _ storages: [Storage]) -> Price {
    var price = Price()
    let bytes = self.bytes(instruction, storages) * passes
    price.memory = bytes / (job.hardware.memoryBandwidth * constants.memoryEfficiency)
    price.launches = 1
    if let experts = job.experts, instruction.isOfExperts {
      price.memory *= Double(experts.active) + experts.sharedShare
    }
    return price
  }

  /// Times that the stack's element-wise operations cross memory, against once when fused.
  var passes: Double {
    switch job.stack.name {
    case .apus: 1
    case .eager, .nanotron, .compiled: constants.frameworkPasses
    case .megatron, .deepspeed: constants.fusedPasses
    }
  }

  /// Bytes that cross memory in the job's element types.
  private func bytes(_ instruction: Instruction, _ storages: [Storage]) -> Double {
    var sum = 0.0
    for tensor in instruction.inputs { sum += Double(tensor.count) * width(storages[tensor.storage]) }
    for output in instruction.outputs {
      let times: Double = output.mode == .overwrite ? 1 : 2
      sum += times * Double(output.tensor.count) * width(storages[output.tensor.storage])
    }
    return sum
  }

  private func width(_ storage: Storage) -> Double { Double(storage.type.byteCount) }
}
