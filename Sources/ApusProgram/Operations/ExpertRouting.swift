import ApusCore

// Shapes: T tokens of the rank, E experts over all ranks, k experts a token, C capacity.

/// Where a micro-batch's tokens go in a mixture of experts.
package struct ExpertRouting: Hashable, Sendable {
  /// E.
  package var count: Int
  /// k.
  package var perToken: Int
  /// C: tokens that an expert takes from each rank; the ones beyond are passed over by that expert.
  package var capacity: Int

  package init(count: Int, perToken: Int, capacity: Int) {
    self.count = count
    self.perToken = perToken
    self.capacity = capacity
  }

  /// C for `tokens` tokens: `factor` times an expert's share of an even load, and never more than all of them.
  package init(count: Int, perToken: Int, capacityFactor: Double, tokens: Int) {
    let even = Double(tokens * perToken) / Double(count)
    self.init(
      count: count, perToken: perToken, capacity: min(tokens, Int((even * capacityFactor).rounded(.up))))
  }

  /// E C: rows of the buffer that is dispatched.
  package var slots: Int { count * capacity }
}

/// Which experts a token goes to, and with which weights: the k largest logits, and the softmax over them (Shazeer et
/// al. 2017, equations 3 to 5, without noise; Jiang et al. 2024, section 2.1).
///
/// An expert takes the first C tokens that choose it, in the order of the rows (Fedus et al. 2021, section 2.2): shapes
/// are known before anything runs, and an even load needs all of them. There is no loss that evens the load out.
///
/// Input: logits `[T, E]`. Outputs: weights `[T, k]`, experts `[T, k]` int32, and slots `[T, k]` int32: the expert times C
/// plus the place with it, or -1 for a token that is passed over.
package struct Route: ForwardOperation {
  package static let name = "route"
  package var op: Op { .route(self) }
  package var experts: ExpertRouting

  package func results(_ inputs: [Tensor]) -> [Signature] {
    let logits = inputs[0]
    require(
      logits.columns == experts.count && experts.perToken <= experts.count,
      "route: \(logits.columns) logits for \(experts.perToken) of \(experts.count) experts")
    require(
      logits.placement == .invariant || logits.placement == .sharded(.rows),
      "route: logits are \(logits.placement.text)")
    return [
      Signature(logits.rows, experts.perToken, logits.type, logits.placement),
      Signature(logits.rows, experts.perToken, .int32, logits.placement),
      Signature(logits.rows, experts.perToken, .int32, logits.placement),
    ]
  }

  package func differentiate(_ pass: inout GradientPass, _ call: Instruction) {
    let destination = pass.firstDestination(call.inputs[0])
    pass.emit(
      RouteGradient(), [pass.gradient(call, 0), call.outputs[0].tensor, call.outputs[1].tensor],
      to: [destination])
  }
}

/// Gradient of the logits: w (dw - sum of w dw) where an expert was chosen, else 0.
///
/// Inputs: dweights, weights, experts. Output: dlogits `[T, E]`.
package struct RouteGradient: Operation {
  package static let name = "route gradient"
  package var op: Op { .routeGradient(self) }
}

/// Puts each token where its experts take it: `out[slots[t, j]] = x[t]`, zeros where no token is.
///
/// Inputs: x `[T, D]`, slots `[T, k]`. Output: `[E C, D]`.
package struct Dispatch: ForwardOperation {
  package static let name = "dispatch"
  package var op: Op { .dispatch(self) }
  package var experts: ExpertRouting

  package func results(_ inputs: [Tensor]) -> [Signature] {
    let (x, slots) = (inputs[0], inputs[1])
    require(
      slots.rows == x.rows && slots.columns == experts.perToken,
      "dispatch: slots \(slots.shapeText) for \(x.rows) tokens of \(experts.perToken) experts")
    return [Signature(experts.slots, x.columns, x.type, x.placement)]
  }

  package func cost(_ inputs: [Tensor], _ outputs: [Destination]) -> Cost {
    Cost(flops: 0, bytes: inputs[1].byteCount + 2 * outputs[0].tensor.byteCount)
  }

  package func differentiate(_ pass: inout GradientPass, _ call: Instruction) {
    pass.emit(
      DispatchGradient(), [pass.gradient(call, 0), call.inputs[1]], to: [pass.destination(call.inputs[0])])
  }
}

/// `dx[t] (+)= sum over j of dout[slots[t, j]]`. Inputs: dout, slots.
package struct DispatchGradient: Operation {
  package static let name = "dispatch gradient"
  package var op: Op { .dispatchGradient(self) }
}

/// Adds up what a token's experts gave: `out[t] = sum over j of w[t, j] x[slots[t, j]]`.
///
/// Inputs: x `[E C, D]`, weights `[T, k]`, slots `[T, k]`. Output: `[T, D]`.
package struct Combine: ForwardOperation {
  package static let name = "combine"
  package var op: Op { .combine(self) }

  package func results(_ inputs: [Tensor]) -> [Signature] {
    let (x, weights, slots) = (inputs[0], inputs[1], inputs[2])
    require(
      weights.rows == slots.rows && weights.columns == slots.columns && weights.placement == x.placement,
      "combine: weights \(weights.shapeText) \(weights.placement.text), slots \(slots.shapeText), experts' "
        + "results \(x.placement.text)")
    return [Signature(weights.rows, x.columns, x.type, x.placement)]
  }

  package func cost(_ inputs: [Tensor], _ outputs: [Destination]) -> Cost {
    let picked = inputs[1].count * inputs[0].columns * inputs[0].type.byteCount
    return Cost(
      flops: 0,
      bytes: picked + inputs[1].byteCount + inputs[2].byteCount + outputs[0].tensor.byteCount)
  }

  package func differentiate(_ pass: inout GradientPass, _ call: Instruction) {
    let (x, weights, slots) = (call.inputs[0], call.inputs[1], call.inputs[2])
    pass.emit(
      CombineGradient(), [pass.gradient(call, 0), x, weights, slots],
      to: [pass.firstDestination(x), pass.firstDestination(weights)])
  }
}

/// `dx[slots[t, j]] = w[t, j] dout[t]`, zeros where no token is; `dw[t, j] = dout[t] . x[slots[t, j]]`.
///
/// Inputs: dout, x, weights, slots. Outputs: dx, dw.
package struct CombineGradient: Operation {
  package static let name = "combine gradient"
  package var op: Op { .combineGradient(self) }
}
