import ApusForesight
import ApusModels
import ApusProgram
import Testing

@Suite struct FLOPsComparisonTests {
  /// GPT-2 124M at 1,024 tokens, by hand: the products with matrices, 6 a weight, and attention, 14 w a pair.
  /// The closed form says 798,543,360 a token; the program does 1.1 % more, all of it explained.
  @Test func gpt2() throws {
    let shape = try #require(Estimates.shape("gpt2-124m"))
    let flops = try Estimates.estimate(shape, microBatch: 4, sequence: 1024).flops
    let matrices = 50257 * 768 + 12 * 12 * 768 * 768
    let attention = 12 * 14 * 768 * 1025 / 2
    #expect(flops.counted == 1024 * (6 * matrices + attention))
    #expect(flops.formulaPerToken == 741_920_256 + 56_623_104)
    #expect(Double(flops.formula) == 1024 * ModelFLOPs(shape, sequenceLength: 1024).perToken(.causal))
    let difference = Double(flops.counted) / Double(flops.formula) - 1
    #expect(difference > 0.0109 && difference < 0.0111)
    #expect(flops.deviationsPerToken.map(\.count) == [12 * 768 * 1025, 6 * 12 * 768, -6 * 121_344])
  }

  /// Counted minus closed form is exactly what the deviations say, on every preset.
  @Test(arguments: Estimates.presets.map(\.name), [8, 96]) func deviationsAreComplete(
    name: String, sequence: Int
  ) throws {
    let shape = try #require(Estimates.shape(name))
    let flops = try Estimates.estimate(shape, sequence: sequence).flops
    let explained = flops.deviationsPerToken.reduce(0) { $0 + $1.count }
    #expect(flops.counted - flops.formula == sequence * explained)
  }

  /// Odd lengths and sizes too: a sequence of S has S (S + 1) / 2 pairs.
  @Test(arguments: [Estimates.odd, Estimates.oddGPT2], [1, 5, 8]) func oddSizes(
    model: ModelConfiguration, sequence: Int
  ) throws {
    let flops = try Estimates.estimate(model, microBatch: 3, sequence: sequence).flops
    let explained = flops.deviationsPerToken.reduce(0) { $0 + $1.count }
    #expect(flops.counted - flops.formula == sequence * explained)
  }

  /// One sequence counted times the number of sequences is what the whole program counts.
  @Test(arguments: [Estimates.odd, Estimates.oddGPT2]) func aProgramIsLinearInItsSequences(
    model: ModelConfiguration
  ) throws {
    let estimate = try Estimates.estimate(model, microBatch: 3, sequence: 7)
    let whole = [Segment.Kind.forward, .backward].reduce(0) {
      $0 + (estimate.program.segment($1)?.cost.flops ?? 0)
    }
    #expect(whole == 3 * estimate.flops.counted)
    #expect(estimate.perStep(estimate.flops.counted) == Double(whole))
  }
}
