import ApusProgram

/// Prices the instructions of a recorded program on hardware: the one place where operations meet devices.
///
/// Every operation is named, so that a new one does not compile until it has a price.
struct InstructionCost: Sendable {
  let job: TrainingJob
  let constants: CostConstants
  private let products: MatrixProductCost
  private let attention: AttentionCost

  init(_ job: TrainingJob, _ constants: CostConstants) {
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
      return product(m: x.rows, n: n, k: x.columns, instruction, storages)
    case .product(let product):
      let k = product.transposeA ? inputs[0].rows : inputs[0].columns
      let c = outputs[0].tensor
      return self.product(m: c.rows, n: c.columns, k: k, instruction, storages)
    case .headLoss: return head(instruction, storages, products: 1)
    case .headLossGradient: return head(instruction, storages, products: 3)
    case .attention(let a):
      return attention.price(
        heads: a.heads, rows: inputs[0].rows, keys: a.sequenceLength * job.layout.context, backward: false)
    case .attentionGradient(let a):
      return attention.price(
        heads: a.forward.heads, rows: inputs[1].rows,
        keys: a.forward.sequenceLength * job.layout.context, backward: true)
    case .layerNorm, .rmsNorm, .layerNormGradient, .rmsNormGradient, .layerNormWeightGradient,
      .rmsNormWeightGradient, .add, .copy, .positions, .embedding, .positionsGradient, .embeddingGradient,
      .addLayerNorm, .addRMSNorm:
      return streaming(instruction, storages, share: 1 / Double(tokenShards))
    case .biasGELU, .biasGELUGradient, .gelu, .geluGradient, .swiglu, .swigluGradient, .rotary, .columnSum, .cachedAttention, .bias,
      .crossEntropyStatistics, .crossEntropyLosses, .crossEntropyGradient:
      return streaming(instruction, storages, share: 1)
    case .move, .startMove, .waitMove, .materialise:
      // Collectives are priced by their links (`CollectiveCost`), not by the device.
      return Price()
    case .sumOfSquares, .clip, .adamW:
      // The update is priced by bytes a parameter (`OptimizerCost`): it depends on the shards.
      return Price()
    }
  }

  /// Ranks that share the rows of norms and residuals.
  private var tokenShards: Int { job.layout.sequenceParallel ? job.layout.tensor : 1 }

  private func product(m: Int, n: Int, k: Int, _ instruction: Instruction, _ storages: [Storage]) -> Price {
    var price = Price()
    let bytes = self.bytes(instruction, storages)
    price.product = products.seconds(m: m, n: n, k: k, job.numbers.product, bytes: bytes)
    price.flops = 2 * Double(m) * Double(n) * Double(k)
    price.launches = 1
    if job.numbers.compute == .fp8 {
      // Operands are scaled and cast: read in two bytes, written in one.
      let elements = Double(m) * Double(k) + Double(k) * Double(n)
      price.memory = 3 * elements / (job.hardware.memoryBandwidth * constants.memoryEfficiency)
      price.launches += 4
    }
    return price
  }

  /// Products with the table and passes over the logits, which the frameworks that are foreseen hold whole.
  private func head(_ instruction: Instruction, _ storages: [Storage], products count: Int) -> Price {
    let (x, w) = (instruction.inputs[0], instruction.inputs[1])
    let (t, d, v) = (x.rows, x.columns, w.rows)
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

  private func streaming(_ instruction: Instruction, _ storages: [Storage], share: Double) -> Price {
    var price = Price()
    let bytes = self.bytes(instruction, storages) * share * passes
    price.memory = bytes / (job.hardware.memoryBandwidth * constants.memoryEfficiency)
    price.launches = 1
    return price
  }

  /// Times that the stack's element-wise operations cross memory, against once when fused.
  private var passes: Double {
    switch job.stack.name {
    case .apus: 1
    case .eager, .nanotron: constants.frameworkPasses
    case .compiled: constants.compiledPasses
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

  private func width(_ storage: Storage) -> Double {
    switch storage.role {
    case .parameter, .communication: job.numbers.weightBytes
    case .gradient: job.numbers.gradientBytes
    case .activation: storage.type == .float32 ? job.numbers.activationBytes : Double(storage.type.byteCount)
    case .optimizerState, .input, .result, .cache, .workspace: Double(storage.type.byteCount)
    }
  }
}
