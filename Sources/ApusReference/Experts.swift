extension Reference {
  /// Weights, experts and slots of each token: the `k` largest of `count` logits, the softmax over them, and the place
  /// with the expert, -1 beyond `capacity`. Of equal logits the first is larger.
  package static func route(
    _ weights: UnsafeMutablePointer<Scalar>, _ experts: UnsafeMutablePointer<Int32>,
    _ slots: UnsafeMutablePointer<Int32>, _ logits: UnsafePointer<Scalar>, tokens: Int, count: Int, k: Int,
    capacity: Int
  ) {
    var taken = Array(repeating: 0, count: count)
    for token in 0..<tokens {
      let row = logits + token * count
      let chosen = (0..<count).sorted { (row[$1], $0) < (row[$0], $1) }.prefix(k)
      let sum = chosen.reduce(Scalar(0)) { $0 + exponential(row[$1] - row[chosen[0]]) }
      for (index, expert) in chosen.enumerated() {
        weights[token * k + index] = exponential(row[expert] - row[chosen[0]]) / sum
        experts[token * k + index] = Int32(expert)
        slots[token * k + index] = taken[expert] < capacity ? Int32(expert * capacity + taken[expert]) : -1
        taken[expert] += 1
      }
    }
  }

  /// dlogits, zero where an expert was not chosen.
  package static func routeBackward(
    _ dlogits: UnsafeMutablePointer<Scalar>, _ dweights: UnsafePointer<Scalar>,
    _ weights: UnsafePointer<Scalar>, _ experts: UnsafePointer<Int32>, tokens: Int, count: Int, k: Int
  ) {
    dlogits.update(repeating: 0, count: tokens * count)
    for token in 0..<tokens {
      let at = token * k..<token * k + k
      let mean = at.reduce(Scalar(0)) { $0 + weights[$1] * dweights[$1] }
      for index in at {
        dlogits[token * count + Int(experts[index])] = weights[index] * (dweights[index] - mean)
      }
    }
  }

  /// `out[slots[t, j]] = x[t]`, zeros elsewhere.
  package static func dispatch(
    _ out: UnsafeMutablePointer<Scalar>, _ x: UnsafePointer<Scalar>, _ slots: UnsafePointer<Int32>,
    tokens: Int, k: Int, width: Int, rows: Int
  ) {
    out.update(repeating: 0, count: rows * width)
    for index in 0..<tokens * k where slots[index] >= 0 {
      (out + Int(slots[index]) * width).update(from: x + index / k * width, count: width)
    }
  }

  /// `out[t] (+)= sum of w[t, j] x[slots[t, j]]`; a weight of 1 where there are none.
  package static func combine(
    _ out: UnsafeMutablePointer<Scalar>, _ x: UnsafePointer<Scalar>, _ weights: UnsafePointer<Scalar>?,
    _ slots: UnsafePointer<Int32>, tokens: Int, k: Int, width: Int, adds: Bool
  ) {
    if !adds { out.update(repeating: 0, count: tokens * width) }
    for index in 0..<tokens * k where slots[index] >= 0 {
      let (row, weight) = (x + Int(slots[index]) * width, weights?[index] ?? 1)
      for column in 0..<width { out[index / k * width + column] += weight * row[column] }
    }
  }

  /// Gradients of the experts' results and of the weights.
  package static func combineBackward(
    _ dx: UnsafeMutablePointer<Scalar>, _ dweights: UnsafeMutablePointer<Scalar>,
    _ dout: UnsafePointer<Scalar>, _ x: UnsafePointer<Scalar>, _ weights: UnsafePointer<Scalar>,
    _ slots: UnsafePointer<Int32>, tokens: Int, k: Int, width: Int, rows: Int
  ) {
    dx.update(repeating: 0, count: rows * width)
    dweights.update(repeating: 0, count: tokens * k)
    for index in 0..<tokens * k where slots[index] >= 0 {
      let (at, gradient) = (Int(slots[index]) * width, dout + index / k * width)
      for column in 0..<width {
        dx[at + column] = weights[index] * gradient[column]
        dweights[index] += gradient[column] * x[at + column]
      }
    }
  }
}
