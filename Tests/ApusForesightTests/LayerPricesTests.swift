import ApusCore
import ApusModels
import ApusProgram
import Testing

@testable import ApusForesight

@Suite struct LayerPricesTests {
  static func job(
    layers: Int = 6, tensor: Int = 1, sequenceParallel: Bool = false,
    family: ModelConfiguration.Family = .llama
  ) throws -> TrainingJob {
    let model = ModelConfiguration(
      family: family, vocabularySize: 32_000, maximumSequenceLength: 2048, layerCount: layers,
      hiddenSize: 1024,
      headCount: 16, keyValueHeadCount: family == .llama ? 8 : 16, intermediateSize: 4096,
      tiedEmbeddings: family == .gpt2)
    let hardware = try #require(try HardwareCatalogue.shipped().named("H100-80GB"))
    return TrainingJob(
      model: model,
      layout: JobLayout(
        ParallelLayout(tensor: tensor, sequenceParallel: sequenceParallel), microBatchSize: 2, microbatches: 4
      ),
      sequenceLength: 1024, hardware: hardware)
  }

  /// Two and three layers say what the whole program costs.
  @Test(arguments: [ModelConfiguration.Family.gpt2, .llama], [1, 4])
  func partsAddUpToTheWholeProgram(family: ModelConfiguration.Family, tensor: Int) throws {
    let job = try Self.job(layers: 7, tensor: tensor, family: family)
    let constants = CostConstants()
    let prices = LayerPrices(job, constants)
    let program = LayerPrices.program(job, depth: 7)
    let cost = InstructionCost(job, constants)
    for (kind, pick) in [
      (Segment.Kind.forward, \LayerPrices.Pair.forward), (.backward, \.backward),
    ] {
      let whole = try #require(program.segment(kind)).instructions.reduce(Price()) {
        $0 + cost.price($1, program.storages)
      }
      let sum =
        prices.opening[keyPath: pick] + prices.layer[keyPath: pick] * 7 + prices.ending[keyPath: pick]
      #expect(abs(sum.device / whole.device - 1) < 1e-9)
      #expect(abs(sum.flops / whole.flops - 1) < 1e-9)
      #expect(abs(sum.launches - whole.launches) < 1e-6)
    }
  }

  @Test func savedBytesAreThoseOfTheWholeProgram() throws {
    let job = try Self.job(layers: 5)
    let constants = CostConstants()
    let prices = LayerPrices(job, constants)
    func saved(_ depth: Int) -> Double { SavedBytes(LayerPrices.program(job, depth: depth), job).values }
    #expect(abs((saved(5) - saved(3)) - 2 * prices.saved.values) < 1)
  }

  /// A tensor rank's products are a share of one rank's, within the loss of smaller tiles.
  @Test func tensorRanksShareTheFLOPs() throws {
    let one = LayerPrices(try Self.job(), CostConstants())
    let four = LayerPrices(try Self.job(tensor: 4), CostConstants())
    #expect(abs(four.layer.forward.flops * 4 / one.layer.forward.flops - 1) < 1e-9)
    #expect(four.layer.forward.product * 4 > one.layer.forward.product)
  }

  @Test func sequenceParallelismSharesNormsAndResiduals() throws {
    let plain = LayerPrices(try Self.job(tensor: 4), CostConstants())
    let shared = LayerPrices(try Self.job(tensor: 4, sequenceParallel: true), CostConstants())
    #expect(shared.layer.forward.memory < plain.layer.forward.memory)
    #expect(shared.layer.forward.product == plain.layer.forward.product)
    #expect(shared.saved.values < plain.saved.values)
  }
}
