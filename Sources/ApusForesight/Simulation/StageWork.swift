import ApusCore
import ApusProgram

/// Seconds that one micro-batch takes in a stage and direction, by what takes them.
package struct StageSeconds: Hashable, Sendable {
  /// The device computes.
  package var device = 0.0
  /// Communication that computing does not hide, by axis.
  package var tensor = 0.0
  package var context = 0.0
  package var expert = 0.0
  package var data = 0.0
  /// The host dispatches; the stage takes the longer of host and device.
  package var host = 0.0
  /// The part of a backward pass that only the optimizer waits for.
  package var weights = 0.0

  package var busy: Double { device + tensor + context + expert + data }
  package var total: Double { max(busy, host) }
}

/// What a stage does for a micro-batch, from the prices of the recorded parts.
struct StageWork {
  let job: TrainingJob
  let constants: CostConstants
  let prices: LayerPrices
  let parameters: LocalParameters
  let cluster: Cluster

  init(_ job: TrainingJob, _ prices: LayerPrices, _ constants: CostConstants) {
    self.job = job
    self.constants = constants
    self.prices = prices
    parameters = LocalParameters(job)
    cluster = Cluster(job, constants)
  }

  /// Seconds of each stage: forward and backward.
  func seconds(_ stages: [StageContent]) -> [(forward: StageSeconds, backward: StageSeconds)] {
    // Most stages are alike: each kind is priced once.
    var known: [StageContent: (forward: StageSeconds, backward: StageSeconds)] = [:]
    let splits = stages.contains(where: \.receivesLogits)
    return stages.map { stage in
      if let present = known[stage] { return present }
      let pair = (
        forward: seconds(stage, backward: false, splitsHead: splits),
        backward: seconds(stage, backward: true, splitsHead: splits)
      )
      known[stage] = pair
      return pair
    }
  }

  private func seconds(_ stage: StageContent, backward: Bool, splitsHead: Bool) -> StageSeconds {
    let layers = Double(stage.layers)
    func calls(_ pair: LayerPrices.Pair) -> [CollectiveCall] {
      backward ? pair.backwardCalls : pair.forwardCalls
    }
    func pick(_ pair: LayerPrices.Pair) -> Price { backward ? pair.backward : pair.forward }
    var layer = pick(prices.layer)
    var layerCalls = calls(prices.layer)
    if backward {
      layer += recomputed
      // The ring of keys and values is counted by itself.
      if job.recomputation == .full { layerCalls += prices.layer.forwardCalls }
    }
    var edges = Price()
    var edgeCalls: [CollectiveCall] = []
    if stage.hasEmbedding {
      edges += pick(prices.opening)
      edgeCalls += calls(prices.opening)
    }
    if stage.hasHead {
      edgeCalls += calls(prices.ending)
      var ending = pick(prices.ending)
      if splitsHead { ending.loss = 0 }
      edges += ending
    }
    if stage.receivesLogits { edges.loss += pick(prices.ending).loss }

    var seconds = StageSeconds()
    let hidden = job.layout.sequenceParallel ? constants.tensorOverlap : 0
    seconds.tensor =
      (layers * cluster.seconds(layerCalls, .tensor) + cluster.seconds(edgeCalls, .tensor)) * (1 - hidden)
    seconds.expert = layers * cluster.seconds(layerCalls, .expert)
    seconds.context = layers * contextSeconds(backward: backward)
    var device = layer.device
    if backward {
      device += parameterSeconds(parameters.layer)
      if stage.hasHead { edges.memory += parameterSeconds(parameters.head) }
      seconds.weights = layers * prices.layer.weights.device
    }
    if job.layout.zeroStage == 3, job.layout.data > 1 {
      let communication = shardingSeconds(backward: backward)
      device += (constants.contention - 1) * min(device, communication)
      seconds.data = layers * max(0, communication - device)
    }
    seconds.device = layers * device + edges.device
    seconds.host = layers * (hostSeconds(layer) + hostPeerSeconds(layerCalls)) + hostSeconds(edges)
    return seconds
  }

  /// Gathers and scatters of one layer's parameters.
  private func shardingSeconds(backward: Bool) -> Double {
    func seconds(_ kind: CollectiveKind, _ width: Double) -> Double {
      cluster.replicaSeconds(kind, parameters.layer, experts: parameters.layerExperts, width: width)
    }
    return seconds(.allGather, job.numbers.parameterWireBytes)
      + (backward ? seconds(.reduceScatter, job.numbers.gradientWireBytes) : 0)
  }

  /// What a layer waits for in its ring of keys and values, attention computed again included.
  private func contextSeconds(backward: Bool) -> Double {
    let ring = ContextRing(job, cluster)
    guard backward else {
      return ring.exposedSeconds(attention: prices.layer.forward.attention, backward: false)
    }
    let again = recomputed.attention
    return ring.exposedSeconds(attention: prices.layer.backward.attention, backward: true)
      + (again > 0 ? ring.exposedSeconds(attention: again, backward: false) : 0)
  }

  /// What backward computes again for one layer. Frameworks run a whole layer again, its last product and
  /// collective too; Apus' own programs repeat less, so for them this is an upper bound.
  private var recomputed: Price {
    let layer = prices.layer.forward
    switch job.recomputation {
    case .none: return Price()
    case .attention:
      guard job.attention == .unfused else {
        var price = Price()
        price.attention = layer.attention
        return price
      }
      let cost = AttentionCost(
        hardware: job.hardware, constants: constants, kernel: .unfused, numbers: job.numbers)
      return cost.price(heads: localHeads, rows: job.localTokens, keys: job.sequenceLength, backward: false)
    case .everySecondProduct:
      var price = layer
      price.product *= 0.5
      price.attention = 0
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
    guard job.stack.name == .nanotron, cluster.nodes > 1, job.layout.pipeline > 1 else { return 0 }
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
}
