import ApusProgram

/// Seconds of each stage for one micro-batch, and the step that follows from them.
struct StageTimes {
  let job: TrainingJob
  let constants: CostConstants
  let prices: LayerPrices
  let stages: [StageContent]
  let parameters: LocalParameters
  let collectives: CollectiveCost

  /// Seconds of one direction of one stage and micro-batch, by what takes them.
  struct Parts {
    var device = 0.0
    var tensor = 0.0
    var context = 0.0
    var data = 0.0
    var host = 0.0
    var total = 0.0
  }

  init(_ job: TrainingJob, _ prices: LayerPrices, _ constants: CostConstants) {
    self.job = job
    self.constants = constants
    self.prices = prices
    stages = StagePlan.stages(job)
    parameters = LocalParameters(job)
    collectives = CollectiveCost(hardware: job.hardware, constants: constants)
  }

  // MARK: Placement

  func placement(_ axis: CommunicationAxis) -> RankPlacement {
    let ranks =
      switch axis {
      case .tensor: job.layout.tensor
      case .context: job.layout.context
      case .expert: job.layout.expert
      case .pipeline: job.layout.pipeline
      case .data: job.layout.data * job.layout.context
      }
    // Context ranks hold the same parameters, so gradients are reduced over data and context together.
    let stride =
      axis == .data
      ? job.stack.order.stride(of: .context, in: job.layout) : job.stack.order.stride(of: axis, in: job.layout)
    return RankPlacement(ranks: ranks, stride: stride, devicesPerNode: job.hardware.devicesPerNode)
  }

  var nodes: Int { groups(of: job.hardware.devicesPerNode, in: job.layout.worldSize) }

  // MARK: One micro-batch

  private var recomputed: Price {
    let layer = prices.layer.forward
    switch job.recomputation {
    case .none: return Price()
    case .attention:
      var price = Price()
      price.attention = job.attention == .unfused ? 0 : layer.attention
      if job.attention == .unfused {
        let cost = AttentionCost(
          hardware: job.hardware, constants: constants, kernel: .unfused, numbers: job.numbers)
        price += cost.price(
          heads: localHeads, rows: job.localTokens, keys: job.sequenceLength, backward: false)
      }
      return price
    case .everySecondProduct:
      var price = layer
      price.product *= 0.5
      price.attention *= 0
      return price
    case .everySecondLayer: return layer * 0.5
    case .full: return layer
    }
  }

  private var localHeads: HeadShape {
    let t = job.layout.tensor
    return HeadShape(
      headCount: max(1, job.model.headCount / t),
      keyValueHeadCount: max(1, job.model.keyValueHeadCount / t), headSize: job.model.headSize)
  }

  private func seconds(_ calls: [CollectiveCall], _ axis: CommunicationAxis) -> Double {
    let place = placement(axis)
    var sum = 0.0
    for call in calls where call.axis == axis {
      sum += Double(call.count) * collectives.seconds(call.kind, bytes: call.bytes, place)
    }
    return sum
  }

  /// Seconds of one stage and direction.
  func parts(_ stage: StageContent, backward: Bool) -> Parts {
    let layers = Double(stage.layers)
    let traffic = LayerTraffic(job)
    func pick(_ pair: LayerPrices.Pair) -> Price { backward ? pair.backward : pair.forward }
    var layer = pick(prices.layer)
    var calls = backward ? traffic.backward : traffic.forward
    if backward {
      layer += recomputed
      if job.recomputation == .full { calls += traffic.forward }
    }
    var edges = Price()
    if stage.hasEmbedding { edges += pick(prices.opening) }
    if stage.hasHead {
      var ending = pick(prices.ending)
      if stages.contains(where: \.receivesLogits) { ending.loss = 0 }
      edges += ending
    }
    if stage.receivesLogits { edges.loss += pick(prices.ending).loss }
    var parts = Parts()
    let overlapsTensor = job.layout.sequenceParallel
    let tensor = seconds(calls, .tensor) * (overlapsTensor ? 1 - constants.tensorOverlap : 1)
    // Ring attention sends while it computes.
    let context = max(0, seconds(calls, .context) - 0.5 * layer.attention)
    var layerDevice = layer.device
    var data = 0.0
    if job.layout.zeroStage == 3, job.layout.data > 1 {
      let gather = dataSeconds(.allGather, parameters.layer * job.numbers.parameterWireBytes)
      let scatter =
        backward ? dataSeconds(.reduceScatter, parameters.layer * job.numbers.gradientWireBytes) : 0
      let communication = gather + scatter
      let hidden = min(layerDevice, communication)
      layerDevice += (constants.contention - 1) * hidden
      data = max(0, communication - layerDevice)
    }
    if backward {
      layerDevice += parameterSeconds(parameters.layer)
      if stage.hasHead { edges.memory += parameterSeconds(parameters.head) }
    }
    parts.device = layers * layerDevice + edges.device
    parts.tensor = layers * tensor
    parts.context = layers * context
    parts.data = layers * data
    parts.host = (hostSeconds(layer) + hostPeerSeconds(calls)) * layers + hostSeconds(edges)
    parts.total = max(parts.device + parts.tensor + parts.context + parts.data, parts.host)
    return parts
  }

  private func hostSeconds(_ price: Price) -> Double {
    let each =
      switch job.stack.name {
      case .apus: job.hardware.launchSeconds
      case .eager, .compiled: constants.hostEager
      case .megatron, .deepspeed: constants.hostMegatron
      case .nanotron: job.layout.tensor > 1 ? constants.hostTensorParallel : constants.hostEager
      }
    return price.launches * each
  }

  /// Host seconds of tensor-parallel collectives that grow with the group.
  private func hostPeerSeconds(_ calls: [CollectiveCall]) -> Double {
    guard job.stack.name == .nanotron, nodes > 1, job.layout.pipeline > 1 else { return 0 }
    let count = calls.reduce(0) { $0 + ($1.axis == .tensor ? $1.count : 0) }
    return Double(count) * Double(job.layout.tensor - 1) * constants.hostPeer
  }

  /// Seconds a micro-batch that depend on the parameters alone: sums, casts and copies.
  private func parameterSeconds(_ count: Double) -> Double {
    let bytes =
      switch job.stack.name {
      case .apus, .megatron: 0.0
      case .eager, .compiled: job.layout.zeroStage == 3 ? constants.shardingBytes : 0
      case .nanotron: constants.accumulationBytes
      case .deepspeed: constants.engineBytes
      }
    return count * bytes / (job.hardware.memoryBandwidth * constants.memoryEfficiency)
  }

  func dataSeconds(_ kind: CollectiveKind, _ bytes: Double) -> Double {
    collectives.seconds(kind, bytes: bytes, placement(.data))
  }

  // MARK: The step

  func fill(_ forecast: inout StepForecast) {
    let layout = job.layout
    let m = Double(layout.microbatches)
    let p = Double(layout.pipeline)
    let forward = stages.map { parts($0, backward: false) }
    let backward = stages.map { parts($0, backward: true) }
    let work = zip(forward, backward).map { $0.total + $1.total }
    let slowest = work.indices.max { work[$0] < work[$1] } ?? 0
    let period = work[slowest]
    let chunks = Double(layout.stagesPerRank)
    if layout.pipeline > 1 {
      forecast.exposed[.pipeline] = 2 * m * chunks * constants.pipelineExposure * sendSeconds()
    }
    let all = work.reduce(0, +)
    forecast.bubbleSeconds = layout.pipeline > 1 ? (all - period) / chunks : 0
    if p > 1, layout.schedule == .naive { forecast.bubbleSeconds = m * (all - period) }
    forecast.computeSeconds = m * (forward[slowest].device + backward[slowest].device)
    forecast.exposed[.tensor] = m * (forward[slowest].tensor + backward[slowest].tensor)
    forecast.exposed[.context] = m * (forward[slowest].context + backward[slowest].context)
    let busy =
      forward[slowest].device + forward[slowest].tensor + forward[slowest].context + forward[slowest].data
      + backward[slowest].device + backward[slowest].tensor + backward[slowest].context
      + backward[slowest].data
    forecast.hostSeconds = max(0, m * (period - busy))
    forecast.exposed[.data] =
      m * (forward[slowest].data + backward[slowest].data) + gradientExposure(backward)
    forecast.optimizerSeconds = optimizerSeconds()
    forecast.stepSeconds =
      m * period + forecast.bubbleSeconds + forecast.exposed[.pipeline, default: 0]
      + gradientExposure(backward) + forecast.optimizerSeconds + constants.stepSeconds
  }

  /// Seconds of the slowest message between neighbouring stages.
  private func sendSeconds() -> Double {
    let rows = Double(job.localTokens)
    let hidden =
      rows * Double(job.model.hiddenSize) * job.numbers.activationBytes
      / (job.layout.sequenceParallel ? Double(job.layout.tensor) : 1)
    let logits =
      rows * Double(job.model.vocabularySize) / Double(job.layout.tensor) * job.numbers.activationBytes
    let stride = job.stack.order.stride(of: .pipeline, in: job.layout)
    var worst = 0.0
    for stage in 0..<(job.layout.pipeline - 1) {
      let crosses =
        stage * stride / job.hardware.devicesPerNode != (stage + 1) * stride / job.hardware.devicesPerNode
      let bytes = stage == stages.count - 2 && stages[stage + 1].receivesLogits ? logits : hidden
      worst = max(worst, collectives.sendSeconds(bytes: bytes, crossesNodes: crosses))
    }
    return worst
  }

  /// Gradients of the fullest stage that are still on the wire when its last backward ends.
  private func gradientExposure(_ backward: [Parts]) -> Double {
    guard job.layout.data * job.layout.context > 1, job.layout.zeroStage < 3 else { return 0 }
    var worst = 0.0
    for (stage, parts) in zip(stages, backward) {
      let count = parameters.count(stage)
      let gradients = count * job.numbers.gradientWireBytes
      let time: Double
      if job.layout.zeroStage == 0 {
        time = dataSeconds(.allReduce, gradients)
      } else {
        time =
          dataSeconds(.reduceScatter, gradients)
          + dataSeconds(.allGather, count * job.numbers.parameterWireBytes)
      }
      let overlaps =
        job.layout.zeroStage == 0 ? job.stack.overlapsGradients : job.stack.overlapsShardedGradients
      worst = max(
        worst, overlaps ? max(time - constants.dataOverlap * parts.total, 0.1 * time) : time)
    }
    return worst
  }

  private func optimizerSeconds() -> Double {
    let largest = stages.map { parameters.count($0) }.max() ?? 0
    let shards = job.layout.zeroStage >= 1 ? Double(job.layout.shardDegree * job.layout.context) : 1
    // Gradient, master, both moments read; master, moments, weights written.
    let bytes = job.numbers.gradientBytes + 2 * job.numbers.optimizerBytes + job.numbers.weightBytes
    return constants.optimizerPasses * largest / shards * bytes
      / (job.hardware.memoryBandwidth * constants.memoryEfficiency)
  }
}
