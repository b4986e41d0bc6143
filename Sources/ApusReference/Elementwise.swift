extension Reference {
  private static var gelu: (scale: Scalar, cubic: Scalar) {
    ((2 / Scalar.pi).squareRoot(), Scalar(0.044715))
  }

  /// y = 0.5 x (1 + tanh(sqrt(2/pi) (x + 0.044715 x³))). `y` may be `x`.
  ///
  /// Source: Hendrycks and Gimpel 2016, "Gaussian Error Linear Units".
  package static func geluForward(_ y: Output, _ x: Input, _ n: Int) {
    for i in 0..<n {
      let v = x[i]
      y[i] = v / 2 * (1 + hyperbolicTangent(gelu.scale * (v + gelu.cubic * v * v * v)))
    }
  }

  /// dx (+)= dy * gelu'(x). `dx` may be `dy`.
  package static func geluBackward(_ dx: Output, _ dy: Input, _ x: Input, _ n: Int, _ accumulate: Bool) {
    for i in 0..<n {
      let v = x[i]
      let h = hyperbolicTangent(gelu.scale * (v + gelu.cubic * v * v * v))
      let inner = gelu.scale * (1 + 3 * gelu.cubic * v * v)
      store(dy[i] * ((1 + h) / 2 + v / 2 * (1 - h * h) * inner), dx + i, accumulate)
    }
  }

  /// y = silu(gate) * up, T x F, from [gate | up] side by side, T x 2F; silu(x) = x / (1 + exp(-x)).
  ///
  /// Source: Shazeer 2020, "GLU Variants Improve Transformer".
  package static func swigluForward(_ y: Output, _ gateUp: Input, _ T: Int, _ F: Int) {
    for t in 0..<T {
      for f in 0..<F {
        let gate = gateUp[t * 2 * F + f]
        y[t * F + f] = gate / (1 + exponential(-gate)) * gateUp[t * 2 * F + F + f]
      }
    }
  }

  /// With s = 1 / (1 + exp(-gate)): dgate (+)= dy * up * s * (1 + gate * (1 - s)), dup (+)= dy * gate * s.
  package static func swigluBackward(
    _ dgateUp: Output, _ dy: Input, _ gateUp: Input, _ T: Int, _ F: Int, _ accumulate: Bool
  ) {
    for t in 0..<T {
      for f in 0..<F {
        let at = t * 2 * F + f
        let gate = gateUp[at]
        let up = gateUp[at + F]
        let s = 1 / (1 + exponential(-gate))
        store(dy[t * F + f] * up * s * (1 + gate * (1 - s)), dgateUp + at, accumulate)
        store(dy[t * F + f] * gate * s, dgateUp + at + F, accumulate)
      }
    }
  }

  /// out = a + b. `out` may be `a` or `b`.
  package static func add(_ out: Output, _ a: Input, _ b: Input, _ n: Int) {
    for i in 0..<n { out[i] = a[i] + b[i] }
  }

  /// out (+)= a.
  package static func copy(_ out: Output, _ a: Input, _ n: Int, _ accumulate: Bool) {
    for i in 0..<n { store(a[i], out + i, accumulate) }
  }

  /// out[n] (+)= sum over t of x[t, n]: bias gradients. Rows of `x` are `stride` apart.
  package static func columnSum(
    _ out: Output, _ x: Input, _ T: Int, _ N: Int, _ stride: Int, _ accumulate: Bool
  ) {
    for n in 0..<N {
      var sum: Scalar = 0
      for t in 0..<T { sum += x[t * stride + n] }
      store(sum, out + n, accumulate)
    }
  }
}
