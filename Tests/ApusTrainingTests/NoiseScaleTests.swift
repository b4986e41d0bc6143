import ApusConfiguration
import ApusTraining
import Foundation
import Testing

@Suite struct NoiseScaleTests {
  /// Normal numbers that are the same in every run.
  private struct Normals {
    var state: UInt64

    mutating func uniform() -> Double {
      state &+= 0x9E37_79B9_7F4A_7C15
      var x = state
      x = (x ^ (x >> 30)) &* 0xBF58_476D_1CE4_E5B9
      x = (x ^ (x >> 27)) &* 0x94D0_49BB_1331_11EB
      return (Double((x ^ (x >> 31)) >> 11) + 0.5) / Double(1 << 53)
    }

    mutating func next() -> Double { sqrt(-2 * log(uniform())) * cos(2 * .pi * uniform()) }
  }

  /// Gradients with a known truth and a known variance a token: the smoothed estimate finds their ratio.
  @Test(arguments: [(8, 64, 50.0), (64, 512, 400.0), (100, 300, 5.0)])
  func findsAKnownNoiseScale(_ small: Int, _ big: Int, _ truth: Double) {
    let dimensions = 400
    var normals = Normals(state: UInt64(big))
    let gradient = (0..<dimensions).map { _ in normals.next() }
    let signal = gradient.reduce(0) { $0 + $1 * $1 }
    // Variance of a token's gradient, by component: tr(Σ) = truth · |G|².
    let deviation = (truth * signal / Double(dimensions)).squareRoot()
    var scale = NoiseScale()
    var (sumSignal, sumNoise, count) = (0.0, 0.0, 0.0)
    #expect(scale.tokens == nil)
    for _ in 0..<400 {
      var (smallNorm, bigNorm) = (0.0, 0.0)
      for component in gradient {
        let first = component + deviation / Double(small).squareRoot() * normals.next()
        let rest = component + deviation / Double(big - small).squareRoot() * normals.next()
        let whole = (Double(small) * first + Double(big - small) * rest) / Double(big)
        smallNorm += first * first
        bigNorm += whole * whole
      }
      let sample = GradientNoise(small: (small, smallNorm), big: (big, bigNorm))
      scale.add(sample)
      (sumSignal, sumNoise, count) = (sumSignal + sample.signal, sumNoise + sample.noise, count + 1)
    }
    // Unbiased over all steps, and smoothed over fifty of them.
    #expect(abs(sumSignal / count / signal - 1) < 0.05)
    #expect(abs(sumNoise / count / (truth * signal) - 1) < 0.05)
    #expect(abs((scale.tokens ?? 0) / truth - 1) < 0.15)
  }

  /// Without noise both batches have the same gradient.
  @Test func noiselessGradientsHaveNoNoise() {
    let sample = GradientNoise(small: (10, 4), big: (40, 4))
    #expect(sample.signal == 4 && sample.noise == 0)
    var scale = NoiseScale()
    scale.add(GradientNoise(signal: 2, noise: 600))
    #expect(abs((scale.tokens ?? 0) - 300) < 1e-9)
    #expect(abs((scale.stepsOverFewest(batchTokens: 100) ?? 0) - 4) < 1e-9)
    #expect(abs((scale.tokensOverFewest(batchTokens: 600) ?? 0) - 3) < 1e-9)
    var bad = NoiseScale()
    bad.add(GradientNoise(signal: -1, noise: 5))
    #expect(bad.tokens == nil)
  }

  @Test func batchSchedulesCountTheirMicrobatches() {
    let ramp = BatchSchedule(microbatches: 8, ramp: [(3, 1), (5, 4)])
    #expect((1...7).map(ramp.microbatches(ofStep:)) == [1, 1, 1, 4, 4, 8, 8])
    var sum = 0
    for step in 1...40 {
      #expect(ramp.microbatches(beforeStep: step) == sum)
      sum += ramp.microbatches(ofStep: step)
    }
    #expect(BatchSchedule(microbatches: 2).microbatches(beforeStep: 11) == 20)
  }
}
