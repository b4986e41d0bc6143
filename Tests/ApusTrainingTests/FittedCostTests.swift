import ApusProgram
import ApusTraining
import Testing

@Suite struct FittedCostTests {
  private func samples(_ seconds: (Cost) -> Double) -> [FittedCost.Sample] {
    var samples: [FittedCost.Sample] = []
    for flops in [1_000, 50_000, 2_000_000, 80_000_000] {
      for bytes in [4_096, 600_000, 30_000_000] {
        let cost = Cost(flops: flops, bytes: bytes)
        samples.append(FittedCost.Sample(cost, seconds(cost)))
      }
    }
    return samples
  }

  /// A machine that is exactly of the fitted form is found, beyond the samples too.
  @Test func exactForm() {
    func truth(_ cost: Cost) -> Double {
      2e-6 + Double(cost.flops) / 50e9 + Double(cost.bytes) / 30e9
        + Double(max(0, cost.bytes - (8 << 20))) / 12e9
    }
    let fitted = FittedCost(samples(truth))
    for cost in [Cost(flops: 7_000_000, bytes: 100_000), Cost(flops: 10, bytes: 90_000_000)] {
      #expect(abs(fitted.seconds(cost) / truth(cost) - 1) < 1e-6)
    }
  }

  /// No term becomes negative, however the samples lie.
  @Test func nothingNegative() {
    let falling = FittedCost(samples { 1e-3 / (1 + Double($0.flops)) + 1e-6 })
    #expect(falling.seconds(Cost(flops: 1 << 40, bytes: 0)) >= 0)
    #expect(falling.seconds(Cost(flops: 0, bytes: 1 << 40)) >= 0)
    let constant = FittedCost([FittedCost.Sample(Cost(flops: 5, bytes: 5), 1e-4)])
    #expect(abs(constant.seconds(Cost(flops: 5, bytes: 5)) - 1e-4) < 1e-9)
  }
}
