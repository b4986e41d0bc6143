extension Reference {
  /// y = (x - mean) * rstd * w + b, rstd = 1 / sqrt(variance + epsilon). `y` may be `x`.
  ///
  /// Source: Ba et al. 2016, "Layer Normalization".
  package static func layernormForward(
    _ y: Output, _ mean: Output, _ rstd: Output, _ x: Input, _ w: Input, _ b: Input, _ T: Int, _ D: Int,
    _ epsilon: Scalar
  ) {
    for t in 0..<T {
      let row = x + t * D
      var sum: Scalar = 0
      for d in 0..<D { sum += row[d] }
      let m = sum / Scalar(D)
      var squares: Scalar = 0
      for d in 0..<D { squares += (row[d] - m) * (row[d] - m) }
      let r = 1 / (squares / Scalar(D) + epsilon).squareRoot()
      mean[t] = m
      rstd[t] = r
      for d in 0..<D { y[t * D + d] = (row[d] - m) * r * w[d] + b[d] }
    }
  }

  /// With n = (x - mean) * rstd and g = dy * w: dx (+)= rstd * (g - mean(g) - n * mean(g * n)).
  /// `dx` may be `dy`.
  package static func layernormBackward(
    _ dx: Output, _ dy: Input, _ x: Input, _ w: Input, _ mean: Input, _ rstd: Input, _ T: Int, _ D: Int,
    _ accumulate: Bool
  ) {
    for t in 0..<T {
      var meanOfG: Scalar = 0
      var meanOfGN: Scalar = 0
      for d in 0..<D {
        let g = dy[t * D + d] * w[d]
        meanOfG += g
        meanOfGN += g * (x[t * D + d] - mean[t]) * rstd[t]
      }
      meanOfG /= Scalar(D)
      meanOfGN /= Scalar(D)
      for d in 0..<D {
        let n = (x[t * D + d] - mean[t]) * rstd[t]
        store(rstd[t] * (dy[t * D + d] * w[d] - meanOfG - n * meanOfGN), dx + t * D + d, accumulate)
      }
    }
  }

  /// dw (+)= sum over t of dy * (x - mean) * rstd; db (+)= sum over t of dy.
  package static func layernormBackwardWeights(
    _ dw: Output, _ db: Output, _ dy: Input, _ x: Input, _ mean: Input, _ rstd: Input, _ T: Int, _ D: Int,
    _ accumulateW: Bool, _ accumulateB: Bool
  ) {
    for d in 0..<D {
      var sumW: Scalar = 0
      var sumB: Scalar = 0
      for t in 0..<T {
        sumW += dy[t * D + d] * (x[t * D + d] - mean[t]) * rstd[t]
        sumB += dy[t * D + d]
      }
      store(sumW, dw + d, accumulateW)
      store(sumB, db + d, accumulateB)
    }
  }

  /// y = x * rstd * w, rstd = 1 / sqrt(mean(x²) + epsilon). `y` may be `x`.
  ///
  /// Source: Zhang and Sennrich 2019, "Root Mean Square Layer Normalization".
  package static func rmsnormForward(
    _ y: Output, _ rstd: Output, _ x: Input, _ w: Input, _ T: Int, _ D: Int, _ epsilon: Scalar
  ) {
    for t in 0..<T {
      var squares: Scalar = 0
      for d in 0..<D { squares += x[t * D + d] * x[t * D + d] }
      rstd[t] = 1 / (squares / Scalar(D) + epsilon).squareRoot()
      for d in 0..<D { y[t * D + d] = x[t * D + d] * rstd[t] * w[d] }
    }
  }

  /// With n = x * rstd and g = dy * w: dx (+)= rstd * (g - n * mean(g * n)). `dx` may be `dy`.
  package static func rmsnormBackward(
    _ dx: Output, _ dy: Input, _ x: Input, _ w: Input, _ rstd: Input, _ T: Int, _ D: Int, _ accumulate: Bool
  ) {
    for t in 0..<T {
      var meanOfGN: Scalar = 0
      for d in 0..<D { meanOfGN += dy[t * D + d] * w[d] * x[t * D + d] * rstd[t] }
      meanOfGN /= Scalar(D)
      for d in 0..<D {
        let n = x[t * D + d] * rstd[t]
        store(rstd[t] * (dy[t * D + d] * w[d] - n * meanOfGN), dx + t * D + d, accumulate)
      }
    }
  }

  /// dw (+)= sum over t of dy * x * rstd.
  package static func rmsnormBackwardWeights(
    _ dw: Output, _ dy: Input, _ x: Input, _ rstd: Input, _ T: Int, _ D: Int, _ accumulate: Bool
  ) {
    for d in 0..<D {
      var sum: Scalar = 0
      for t in 0..<T { sum += dy[t * D + d] * x[t * D + d] * rstd[t] }
      store(sum, dw + d, accumulate)
    }
  }
}
