/// Bytes of the fullest rank: model states by their shards, saved activations of the micro-batches in
/// flight, temporaries, and what an allocator and the runtime add.
package struct MemoryModel {
  let job: TrainingJob
  let constants: CostConstants
  let prices: LayerPrices
  let parameters: LocalParameters

  package init(_ job: TrainingJob, _ prices: LayerPrices, _ constants: CostConstants) {
    self.job = job
    self.prices = prices
    self.constants = constants
    parameters = LocalParameters(job)
  }

  func forecast() -> MemoryForecast {
    let stages = StagePlan.stages(job)
    var worst = MemoryForecast()
    for device in 0..<job.layout.pipeline {
      let one = self.device(device, stages)
      if one.devicePeak > worst.devicePeak { worst = one }
    }
    worst.fits = worst.devicePeak <= job.hardware.memoryBytes
    return worst
  }

  private func device(_ device: Int, _ stages: [StageContent]) -> MemoryForecast {
    let (layout, numbers) = (job.layout, job.numbers)
    let contents = self.contents(of: device, stages)
    let count = contents.reduce(0) { $0 + parameters.count($1) }
    let experts = contents.reduce(0) { $0 + parameters.experts($1) }
    func held(_ bytes: Double, shardedFrom stage: Int) -> Double {
      guard layout.zeroStage >= stage else { return count * bytes }
      return (count - experts) * bytes / layout.shards + experts * bytes / layout.expertShards
    }
    var memory = MemoryForecast()
    memory.stage = device
    memory.parameters = held(numbers.weightBytes, shardedFrom: 3)
    memory.gradients = held(numbers.gradientBytes, shardedFrom: 2)
    memory.optimizer = held(numbers.optimizerBytes, shardedFrom: 1)
    let rows = Double(job.localTokens)
    // Chunks share what is in flight evenly.
    let inFlight = inFlight(device) / Double(contents.count)
    for content in contents {
      memory.activations +=
        inFlight
        * (Double(content.layers) * savedOfLayer + (content.hasEmbedding ? prices.input : 0))
      memory.temporary = max(memory.temporary, temporary(content, rows: rows, count: count))
    }
    memory.allocatedPeak =
      memory.parameters + memory.gradients + memory.optimizer + memory.activations + memory.temporary
    // The moments appear with the first update; master weights stand from the start.
    let moments = memory.optimizer * min(1, 8 / numbers.optimizerBytes)
    memory.firstPeak = memory.allocatedPeak - moments
    memory.reservedPeak = memory.allocatedPeak * constants.fragmentation
    memory.devicePeak = memory.reservedPeak + job.hardware.runtimeBytes
    return memory
  }

  private func contents(of device: Int, _ stages: [StageContent]) -> [StageContent] {
    let (p, schedule) = (job.layout.pipeline, job.layout.schedule)
    if p == 1 { return stages }
    if schedule.isBidirectional { return [stages[device], stages[p - 1 - device]] }
    return (0..<schedule.chunks).map { stages[$0 * p + device] }
  }

  /// Micro-batches, counted once a chunk, whose activations a device holds at once (`peakLive` counts them in
  /// the orders themselves; a test compares).
  package func inFlight(_ device: Int) -> Double {
    let (m, p) = (job.layout.microbatches, job.layout.pipeline)
    if p == 1 { return 1 }
    switch job.layout.schedule {
    case .naive: return 1
    case .allForwardAllBackward: return Double(m)
    case .oneForwardOneBackward: return Double(min(m, p - device))
    // Until the last half of backward has run.
    case .zeroBubbleH1: return Double(min(m, p))
    case .zeroBubbleH2: return Double(min(m, 2 * p - 1))
    case .interleaved(let chunks, let group):
      let most = max(group ?? min(p, m), min(p, m))
      return Double(min(m * chunks, 2 * (p - device - 1) + (chunks - 1) * most + 1))
    case .dualPipe: return Double(min(m, p + 1))
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
