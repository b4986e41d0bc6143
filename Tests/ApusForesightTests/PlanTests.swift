import ApusCore
import ApusForesight
import ApusModels
import Testing

@Suite struct BatchRecipeTests {
  /// Domain reference S24: 4M tokens of 4096; micro-batch 2; 128 devices accumulate 4, 512 none.
  @Test(arguments: [(128, 4), (512, 1)]) func example(devices: Int, accumulation: Int) throws {
    let recipe = try BatchRecipe(tokens: 4_194_304, sequenceLength: 4096, devices: devices) { $0 <= 2 }
    #expect(recipe.samples == 1024 && recipe.largestMicroBatch == 2 && recipe.microBatch == 2)
    #expect(recipe.dataDegree == devices && recipe.accumulation == accumulation)
    #expect(recipe.steps.count == 4)
    #expect(recipe.steps[2].contains("2 sequences fit, 3 do not"))
  }

  /// The found micro-batch fits and one more does not; what is taken divides what a replica gets.
  @Test(arguments: 0...9) func largest(limit: Int) throws {
    let recipe = try BatchRecipe(tokens: 64 * 48, sequenceLength: 64, devices: 4) { $0 <= limit }
    #expect(recipe.largestMicroBatch == limit)
    #expect(recipe.microBatch <= max(1, limit) && 12.isMultiple(of: recipe.microBatch))
    #expect(recipe.microBatch * recipe.accumulation * recipe.dataDegree == 48)
  }

  @Test func whatDoesNotDivide() {
    #expect(throws: ForesightError.self) {
      try BatchRecipe(tokens: 1000, sequenceLength: 64, devices: 1) { _ in true }
    }
    #expect(throws: ForesightError.self) {
      try BatchRecipe(tokens: 640, sequenceLength: 64, devices: 4) { _ in true }
    }
  }
}

@Suite struct PlanSearchTests {
  private func request(
    _ preset: String, devices: Int, tokens: Int = 1 << 20, margin: Double = 0
  ) throws -> PlanRequest {
    let catalogue = try HardwareCatalogue.shipped()
    return PlanRequest(
      model: try #require(ModelPresets.named(preset)), hardware: try #require(catalogue.named("H100-80GB")),
      devices: devices, sequenceLength: 4096, globalBatchTokens: tokens, margin: margin)
  }

  @Test func everyChoiceDividesAndIsTriedOnce() throws {
    let request = try request("llama-3-8b", devices: 32)
    let choices = request.choices
    #expect(Set(choices).count == choices.count && choices.count > 500)
    for choice in choices {
      let job = request.job(choice)
      #expect(job.layout.worldSize == 32 && job.tokensPerStep == 1 << 20)
      #expect(choice.tensor <= 8)
    }
  }

  /// What is called best is the fastest of what fits; whatever fits leaves the margin.
  @Test func bestAndMargin() throws {
    let request = try request("llama-3-8b", devices: 16, margin: 0.1)
    let search = PlanSearch(request)
    let best = try #require(search.best)
    #expect(search.entries.allSatisfy { $0.forecast.stepSeconds >= best.forecast.stepSeconds })
    #expect(search.entries.allSatisfy { $0.forecast.memory.devicePeak <= 0.9 * request.hardware.memoryBytes })
    let forecast = try StepSimulator().forecast(request.job(best.choice))
    #expect(forecast.stepSeconds == best.forecast.stepSeconds)
    let top = search.topLayouts(10)
    #expect(top.first == best && top.count == 10)
  }

  /// Neighbours are one step away, none is faster, and those that do not fit say by how much.
  @Test func neighbours() throws {
    let search = PlanSearch(try request("llama-3-70b", devices: 64))
    let neighbours = search.neighbours
    #expect(neighbours.count > 5)
    #expect(neighbours.allSatisfy { $0.slower ?? 0 >= 0 && !$0.reason.isEmpty })
    #expect(neighbours.contains { $0.slower == nil && $0.reason.hasPrefix("out of memory by ") })
  }

  /// Whole families are rejected with the least that they miss: 70B on 8 devices without sharding.
  @Test func families() throws {
    let search = PlanSearch(try request("llama-3-70b", devices: 64))
    let families = search.families
    #expect(families.reduce(0) { $0 + $1.count } == search.choiceCount)
    guard case .fits(let first) = families[0].standing else {
      Issue.record("nothing fits")
      return
    }
    #expect(first == search.best)
    let data = try #require(families.first { $0.name == "data" })
    guard case .rejected(let verdict, let choice) = data.standing else {
      Issue.record("70B fits one device")
      return
    }
    #expect(choice.tensor == 1 && choice.pipeline == 1 && verdict.missing.bytes > 0)
    #expect(verdict.description.contains("on stage 0 from step 1"))
  }

  @Test func rulesAndText() throws {
    let search = PlanSearch(try request("llama-3-8b", devices: 16))
    let rules = RuleOfThumb.check(search)
    #expect(rules.contains { $0.rule.contains("inside a node") })
    let best = try #require(search.best)
    let yaml = search.request.yaml(best.choice)
    #expect(yaml.hasPrefix("layout:") && yaml.contains("global_batch_tokens: 1048576"))
    #expect(yaml.contains("micro_batch_size: \(best.choice.microBatch)"))
  }

  /// A device between the peaks of step 1 and of later steps fails from step 2.
  @Test func fromWhichStep() {
    var memory = MemoryForecast()
    (memory.firstPeak, memory.allocatedPeak, memory.reservedPeak) = (60e9, 80e9, 82e9)
    memory.devicePeak = 84e9
    memory.stage = 3
    memory.fits = false
    guard var hardware = try? HardwareCatalogue.shipped().descriptions[0] else { return }
    hardware.memoryBytes = 70e9
    #expect(MemoryVerdict(memory, hardware)?.fromStep == 2)
    hardware.memoryBytes = 63e9
    #expect(MemoryVerdict(memory, hardware)?.fromStep == 1)
    #expect(
      MemoryVerdict(memory, hardware)?.description == "out of memory by 19.56 GiB on stage 3 from step 1")
  }
}
