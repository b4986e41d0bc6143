import ApusCore
import ApusProgram

// Experts are priced from the recorded program of a dense layer whose feed-forward block is one expert.

extension Instruction {
  /// Whether it belongs to a layer's feed-forward block.
  var isFeedForward: Bool { label.hasSuffix("feed-forward") }

  /// Whether experts repeat it: all of the block but its norm and its residual.
  var isOfExperts: Bool {
    guard isFeedForward else { return false }
    return switch op {
    case .linear, .product, .swiglu, .swigluGradient, .gelu, .geluGradient, .biasGELU, .biasGELUGradient: true
    default: false
    }
  }
}

extension InstructionCost {
  /// Experts on this rank and the tokens that each gets, padded to the rows of a small tile.
  private func share(_ experts: ExpertShape, tokens: Int) -> (local: Int, rows: Int, padded: Int) {
    let local = groups(of: job.layout.expert, in: experts.count)
    let visits = Double(tokens) * Double(experts.active) * Double(job.layout.expert) / Double(experts.count)
    let rows = max(1, Int(visits.rounded(.up)))
    return (local, rows, groups(of: 64, in: rows) * 64)
  }

  /// The products of this rank's experts in place of a dense one, run as a grouped product: waves of tiles go over all
  /// experts, but each expert's rows are padded to whole tiles and its weights are read once.
  ///
  /// - Parameter sumsOverTokens: whether the tokens are the inner dimension, as in gradients of weights.
  func grouped(
    _ experts: ExpertShape, m: Int, n: Int, k: Int, sumsOverTokens: Bool, dense: Price
  ) -> Price {
    let (local, rows, padded) = share(experts, tokens: sumsOverTokens ? k : m)
    let width = job.numbers.activationBytes
    let (inner, outer) = (Double(sumsOverTokens ? rows : k), Double(sumsOverTokens ? m : rows))
    let bytes = Double(local) * width * (outer * inner + inner * Double(n) + outer * Double(n))
    var price = Price()
    price.product = products.seconds(
      m: local * (sumsOverTokens ? m : padded), n: n, k: sumsOverTokens ? rows : k, job.numbers.product,
      bytes: bytes)
    price.flops = 2 * Double(local) * outer * Double(n) * inner
    price.launches = 2
    return price + dense * experts.sharedShare
  }

  /// Tokens that this rank routes: those of its sequence shard where norms work on shards.
  private var routedTokens: Double {
    Double(job.localTokens) / Double(job.layout.sequenceParallel ? job.layout.tensor : 1)
  }

  /// What routing adds to a layer: scores of every token for every expert, their softmax and choice in float32,
  /// tokens copied into the order of their experts, results weighted and summed.
  func routing(_ experts: ExpertShape, backward: Bool) -> Price {
    let (tokens, width) = (Int(routedTokens.rounded(.up)), job.numbers.activationBytes)
    let (h, e) = (job.model.hiddenSize, experts.count)
    var price = Price()
    let scores = Double(tokens) * Double(e)
    let one = products.seconds(
      m: tokens, n: e, k: h, job.numbers.compute == .fp8 ? .bf16 : job.numbers.product,
      bytes: width * (Double(tokens * h) + Double(h * e) + scores))
    price.product = (backward ? 2 : 1) * one
    price.flops = (backward ? 4 : 2) * scores * Double(h)
    let copies = 2 * Double(1 + experts.active) * routedTokens * Double(h) * width
    price.memory =
      passes * (copies + 16 * scores) / (job.hardware.memoryBandwidth * constants.memoryEfficiency)
    price.launches = 10
    return price
  }

  /// Tokens sent to the ranks of their experts and their results back, one way of a layer.
  func exchange(_ experts: ExpertShape) -> [CollectiveCall] {
    guard job.layout.expert > 1 else { return [] }
    return [CollectiveCall(.allToAll, .expert, bytes: routedBytes(experts), count: 2)]
  }

  /// One copy of every routed token, in the order of the experts.
  func routedBytes(_ experts: ExpertShape) -> Double {
    routedTokens * Double(experts.active) * Double(job.model.hiddenSize) * job.numbers.activationBytes
  }
}
