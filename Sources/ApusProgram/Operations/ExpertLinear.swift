import ApusCore

/// Rows of a buffer of dispatched tokens: from each rank of the expert axis, for each of the rank's own experts, as many
/// as an expert takes.
package struct ExpertBlocks: Hashable, Sendable {
  /// Ranks of the expert axis.
  package var sources: Int
  /// Experts on the rank.
  package var experts: Int

  /// Rows of a block, of a buffer of `rows`.
  package func blockRows(_ rows: Int) -> Int { rows / (sources * experts) }
}

/// Each expert's product with the tokens that it takes: `y = x W_e` transposed, for rows x of expert e.
///
/// Inputs: x `[sources experts C, K]`, W `[experts N, K]`, expert after expert, each as published (`outputMajor`).
/// Output: `[sources experts C, N]`. FLOPs: 2 rows K N: every expert's capacity is counted, as if full, which an even
/// load makes it. The experts are divided over the expert axis, not over the tensor axis.
package struct ExpertLinear: ForwardOperation {
  package static let name = "expert linear"
  package var op: Op { .expertLinear(self) }
  package var blocks: ExpertBlocks

  package func results(_ inputs: [Tensor]) -> [Signature] {
    let (x, w) = (inputs[0], inputs[1])
    require(x.columns == w.columns, "experts: x has \(x.columns) columns, the weights take \(w.columns)")
    require(
      w.rows.isMultiple(of: blocks.experts) && x.rows.isMultiple(of: blocks.sources * blocks.experts),
      "experts: x \(x.shapeText) and weights \(w.shapeText) of \(blocks.experts) experts")
    require(x.type == w.type, "experts: x is \(x.type), the weights \(w.type)")
    require(
      x.placement == .invariant && w.placement == .invariant
        || x.placement == .sharded(.rows) && w.placement == .replicated,
      "experts: x is \(x.placement.text), the weights \(w.placement.text)")
    return [Signature(x.rows, w.rows / blocks.experts, x.type, x.placement)]
  }

  package func cost(_ inputs: [Tensor], _ outputs: [Destination]) -> Cost {
    Cost(
      flops: 2 * inputs[0].count * outputs[0].tensor.columns, bytes: Self.bytes(inputs, outputs))
  }

  package func differentiate(_ pass: inout GradientPass, _ call: Instruction) {
    let (x, w, dy) = (call.inputs[0], call.inputs[1], pass.gradient(call, 0))
    pass.emit(ExpertProduct(blocks: blocks, of: .weights), [dy, x], to: [pass.destination(w)])
    pass.emit(ExpertProduct(blocks: blocks, of: .inputs), [dy, w], to: [pass.destination(x)])
  }
}

/// Gradients of `ExpertLinear`, of the same FLOPs each: of the weights from (dy, x), of the inputs from (dy, W).
package struct ExpertProduct: Operation {
  package static let name = "expert product"
  package var op: Op { .expertProduct(self) }

  package enum Result: Hashable, Sendable { case weights, inputs }

  package var blocks: ExpertBlocks
  package var of: Result

  package func cost(_ inputs: [Tensor], _ outputs: [Destination]) -> Cost {
    Cost(flops: 2 * inputs[0].count * inputs[1].columns, bytes: Self.bytes(inputs, outputs))
  }
}

/// A mixture of experts as a model writes it down.
package struct ExpertWeights {
  /// `[E, D]`.
  package var router: Tensor
  /// The rank's experts', `[experts 2F, D]` and `[experts D, F]`.
  package var gateUp, down: Tensor

  package init(router: Tensor, gateUp: Tensor, down: Tensor) {
    self.router = router
    self.gateUp = gateUp
    self.down = down
  }
}

extension StepRecorder {
  /// A mixture of gated feed-forward experts in place of one: routes each row of `x` to some experts, on whichever rank
  /// of the expert axis they are, and adds up what they give. Two all-to-alls forward, two backward (Lepikhin et al.
  /// 2020, section 2.2; domain reference B6).
  package mutating func experts(_ x: Tensor, _ weights: ExpertWeights, _ experts: ExpertRouting) -> Tensor {
    let degree = mesh.degree(of: .expert)
    let blocks = ExpertBlocks(sources: degree, experts: experts.count / degree)
    let routed = record(
      Route(experts: experts), [linear(x, weights.router, layout: .outputMajor)])
    let taken = exchangeTokens(
      record(Dispatch(experts: experts), [x, routed[2]])[0], degree, from: .sharded(.rows))
    let hidden = swiglu(record(ExpertLinear(blocks: blocks), [taken, weights.gateUp])[0])
    let given = exchangeTokens(
      record(ExpertLinear(blocks: blocks), [hidden, weights.down])[0], degree, from: .sharded(.columns))
    return record(Combine(), [given, routed[0], routed[2]])[0]
  }

  /// Every rank's tokens for all experts become all ranks' tokens for the rank's own experts, and back.
  private mutating func exchangeTokens(_ x: Tensor, _ degree: Int, from: Placement) -> Tensor {
    guard degree > 1 else { return x }
    let to: Placement = from == .sharded(.rows) ? .sharded(.columns) : .sharded(.rows)
    return record(Move(from: from, to: to, axis: .expert, degree: degree), [x])[0]
  }
}
