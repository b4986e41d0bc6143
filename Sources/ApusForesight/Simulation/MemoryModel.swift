/// Bytes of the fullest rank: model states by their shards, saved activations of the micro-batches in
/// flight, temporaries, and what an allocator and the runtime add.
struct MemoryModel {
  let job: TrainingJob
  let constants: CostConstants
  let prices: LayerPrices
  let parameters: LocalParameters

  init(_ job: TrainingJob, _ prices: LayerPrices, _ constants: CostConstants) {
    self.job = job
    self.prices = prices
    self.constants = constants
    parameters = LocalParameters(job)
  }

  func forecast() -> MemoryForecast {
    let stages = StagePlan.stages(job)
    var worst = MemoryForecast()
    for index in stages.indices {
      let one = stage(index, stages)
      if one.devicePeak > worst.devicePeak { worst = one }
    }
    worst.fits = worst.devicePeak <= job.hardware.memoryBytes
    return worst
  }

  private func stage(_ index: Int, _ stages: [StageContent]) -> MemoryForecast {
    let (layout, numbers) = (job.layout, job.numbers)
    let content = stages[index]
    let count = parameters.count(content)
    let shards = Double(layout.shardDegree * layout.context)
    var memory = MemoryForecast()
    memory.stage = index
    memory.parameters = count * numbers.weightBytes / (layout.zeroStage >= 3 ? shards : 1)
    memory.gradients = count * numbers.gradientBytes / (layout.zeroStage >= 2 ? shards : 1)
    memory.optimizer = count * numbers.optimizerBytes / (layout.zeroStage >= 1 ? shards : 1)
    let rows = Double(job.localTokens)
    let inFlight = Double(inFlight(index))
    memory.activations = inFlight * (Double(content.layers) * savedOfLayer + (content.hasEmbedding ? prices.input : 0))
    memory.temporary = temporary(content, rows: rows, count: count)
    memory.allocatedPeak =
      memory.parameters + memory.gradients + memory.optimizer + memory.activations + memory.temporary
    // The moments appear with the first update; master weights stand from the start.
    let moments = memory.optimizer * min(1, 8 / numbers.optimizerBytes)
    memory.firstPeak = memory.allocatedPeak - moments
    memory.reservedPeak = memory.allocatedPeak * constants.fragmentation
    memory.devicePeak = memory.reservedPeak + job.hardware.runtimeBytes
    return memory
  }

  /// Micro-batches whose activations a stage holds at once.
  private func inFlight(_ stage: Int) -> Int {
    let (m, p) = (job.layout.microbatches, job.layout.pipeline)
    switch job.layout.schedule {
    case .naive: return 1
    case .allForwardAllBackward: return m
    case .oneForwardOneBackward, .zeroBubbleH1: return min(m, p - stage)
    case .zeroBubbleH2: return min(m, 2 * (p - stage) - 1)
    case .interleaved:
      // (p - 1) 2 + (v - 1) p + 1 chunks of 1 / v layers on the first stage (Narayanan et al. 2021).
      let v = job.layout.stagesPerRank
      let chunks = 2 * (p - stage - 1) + (v - 1) * p + 1
      return min(m, (chunks + v - 1) / v)
    case .dualPipe: return min(m, p + 1)
    }
  }

  /// Bytes that one layer and micro-batch keeps.
  private var savedOfLayer: Double {
    switch job.recomputation {
    case .none: return whole + scores
    case .attention: return whole
    case .everySecondProduct: return 0.5 * whole
    case .everySecondLayer: return 0.5 * (whole + scores) + 0.5 * prices.input
    case .full: return prices.input
    }
  }

  /// Bytes of a layer when nothing is computed again, scores apart.
  private var whole: Double {
    var bytes = prices.saved.values
    if !job.stack.fusesPieces { bytes += prices.saved.pieces }
    if job.stack.keepsGathered(job.layout) { bytes += prices.saved.gathered }
    return bytes
  }

  /// Softmax, dropout mask and dropout's result where scores are written: 5 bytes a score (S13).
  private var scores: Double {
    guard job.attention == .unfused else { return 0 }
    let heads = Double(job.model.headCount) / Double(job.layout.tensor)
    return 5 * heads * Double(job.localTokens) * Double(job.sequenceLength)
  }

  /// Bytes a logit that are alive at once in the loss.
  private var logitMemory: Double {
    switch job.stack.name {
    case .nanotron, .compiled: constants.logitMemoryEager
    case .apus, .megatron, .deepspeed: constants.logitMemory
    // Logits in 16 bits, and their gradient.
    case .eager: 2 * job.numbers.activationBytes
    }
  }

  private func temporary(_ content: StageContent, rows: Double, count: Double) -> Double {
    let logits = rows * Double(job.model.vocabularySize) / Double(job.layout.tensor)
    var most = content.hasHead || content.receivesLogits ? logitMemory * logits : 0
    // A layer's activations while it is computed again.
    if job.recomputation != .none { most = max(most, whole + scores) }
    var bytes = most
    switch job.stack.name {
    case .apus: break
    case .eager, .compiled:
      // Gathered weights and their gradients of two layers, in the types of the wire.
      if job.layout.zeroStage == 3 {
        bytes += 2 * parameters.layer * (job.numbers.parameterWireBytes + job.numbers.gradientWireBytes)
      }
    case .megatron: break
    case .nanotron, .deepspeed:
      // Gradients in the compute type beside their sums.
      bytes += constants.gradientCopy * count
      // The engine updates from a float32 copy of its shard.
      if job.stack.name == .deepspeed {
        bytes += 4 * count / Double(job.layout.shardDegree * job.layout.context)
      }
    }
    return bytes
  }
}
