extension Reference {
  /// Sum of squares, in Double.
  package static func sumOfSquares(_ x: Input, _ n: Int) -> Double {
    var sum = 0.0
    for i in 0..<n { sum += Double(x[i]) * Double(x[i]) }
    return sum
  }

  /// One AdamW step with g = gradient * gradientScale: m = b1 m + (1-b1) g; v = b2 v + (1-b2) g²;
  /// p = p - lr * decay * p - lr * (m / correction1) / (sqrt(v / correction2) + epsilon).
  ///
  /// Source: Loshchilov and Hutter 2019, "Decoupled Weight Decay Regularization".
  package static func adamw(
    _ p: Output, _ m: Output, _ v: Output, _ gradient: Input, _ n: Int, _ learningRate: Scalar,
    _ beta1: Scalar, _ beta2: Scalar, _ epsilon: Scalar, _ weightDecay: Scalar, _ correction1: Scalar,
    _ correction2: Scalar, _ gradientScale: Scalar
  ) {
    for i in 0..<n {
      let g = gradient[i] * gradientScale
      m[i] = beta1 * m[i] + (1 - beta1) * g
      v[i] = beta2 * v[i] + (1 - beta2) * g * g
      let step = (m[i] / correction1) / ((v[i] / correction2).squareRoot() + epsilon)
      p[i] = p[i] - learningRate * weightDecay * p[i] - learningRate * step
    }
  }
}
