/// What two batch sizes tell about the gradient, from one step: unbiased, but far too noisy to use alone.
///
/// With |G_b|² and |G_B|² the squared norms of the mean gradients of b and of B > b tokens,
///
///     |G|²  = (B |G_B|² - b |G_b|²) / (B - b)
///     tr(Σ) = (|G_b|² - |G_B|²) / (1/b - 1/B)
///
/// Source: McCandlish et al. 2018, "An Empirical Model of Large-Batch Training", appendix A.1. The smaller batch is
/// the step's first micro-batch (`GradientPart`), whose norm costs one more sweep over the gradients. Both are
/// token-weighted means.
package struct GradientNoise: Hashable, Sendable {
  /// |G|², the squared norm of the true gradient.
  package var signal: Double
  /// tr(Σ), the variance of a single token's gradient, summed over the parameters.
  package var noise: Double

  package init(signal: Double, noise: Double) {
    self.signal = signal
    self.noise = noise
  }

  /// - Parameters:
  ///   - small: tokens and squared norm of the mean gradient of the smaller batch.
  ///   - big: the same of the larger one, of which the smaller is a part.
  package init(small: (tokens: Int, squaredNorm: Double), big: (tokens: Int, squaredNorm: Double)) {
    let (b, B) = (Double(small.tokens), Double(big.tokens))
    signal = (B * big.squaredNorm - b * small.squaredNorm) / (B - b)
    noise = (small.squaredNorm - big.squaredNorm) / (1 / b - 1 / B)
  }
}

/// The gradient noise scale tr(Σ) / |G|² in tokens, from smoothed estimates: about the batch beyond which more tokens
/// a step no longer save steps in proportion, the critical batch size.
///
/// Numerator and denominator are averaged apart, because the mean of ratios is not the ratio of means.
package struct NoiseScale: Hashable, Sendable {
  /// Steps that the exponential average spans.
  package static let span = 50.0
  private var signal = 0.0
  private var noise = 0.0
  /// What is left of the averages' start at zero.
  private var weight = 1.0

  package init() {}

  package mutating func add(_ sample: GradientNoise) {
    let decay = 1 - 1 / Self.span
    signal = decay * signal + (1 - decay) * sample.signal
    noise = decay * noise + (1 - decay) * sample.noise
    weight *= decay
  }

  /// Tokens; nil before the first sample, and while the averages are still so noisy that one is not positive.
  package var tokens: Double? {
    weight < 1 && signal > 0 && noise > 0 ? noise / signal : nil
  }

  /// Steps needed at a batch of `tokens` over the fewest possible: 1 + noise scale / batch (equation 2.7).
  package func stepsOverFewest(batchTokens: Int) -> Double? { tokens.map { 1 + $0 / Double(batchTokens) } }

  /// Tokens needed at a batch of `tokens` over the fewest possible: 1 + batch / noise scale.
  package func tokensOverFewest(batchTokens: Int) -> Double? { tokens.map { 1 + Double(batchTokens) / $0 } }
}
