import ApusCore
import ApusForesight
import ApusModels
import ApusProgram
import Testing

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
    let whole = LayerPrices.Parts(job, InstructionCost(job, constants), depth: 7)
    for pick in [\LayerPrices.Pair.forward, \.backward, \.weights] {
      let sum =
        prices.opening[keyPath: pick] + prices.layer[keyPath: pick] * 7 + prices.ending[keyPath: pick]
      let expected =
        whole.opening[keyPath: pick] + whole.layers[keyPath: pick] + whole.ending[keyPath: pick]
      #expect(abs(sum.device - expected.device) <= 1e-9 * expected.device)
      #expect(abs(sum.flops - expected.flops) <= 1e-9 * expected.flops)
      #expect(abs(sum.launches - expected.launches) < 1e-6)
    }
    for pick in [\LayerPrices.Pair.forwardCalls, \.backwardCalls] {
      let count = prices.layer[keyPath: pick].reduce(0) { $0 + $1.count }
      #expect(whole.layers[keyPath: pick].reduce(0) { $0 + $1.count } == 7 * count)
    }
  }

  /// B3: two all-reduces a block and direction; with sequence parallelism two gathers and two scatters, and two
  /// more gathers in backward where gathered inputs are not kept.
  @Test func collectivesOfALayerAreThePublishedOnes() throws {
    let bytes = 2.0 * 2048 * 1024
    let plain = LayerPrices(try Self.job(tensor: 4), CostConstants()).layer
    #expect(plain.forwardCalls == [CollectiveCall(.allReduce, .tensor, bytes: bytes, count: 2)])
    #expect(plain.backwardCalls == [CollectiveCall(.allReduce, .tensor, bytes: bytes, count: 2)])
    let shared = LayerPrices(try Self.job(tensor: 4, sequenceParallel: true), CostConstants()).layer
    #expect(
      Set(shared.forwardCalls) == [
        CollectiveCall(.allGather, .tensor, bytes: bytes, count: 2),
        CollectiveCall(.reduceScatter, .tensor, bytes: bytes, count: 2),
      ])
    #expect(
      Set(shared.backwardCalls) == [
        CollectiveCall(.allGather, .tensor, bytes: bytes, count: 4),
        CollectiveCall(.reduceScatter, .tensor, bytes: bytes, count: 2),
      ])
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
