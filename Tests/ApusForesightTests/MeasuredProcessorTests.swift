import ApusCore
import ApusForesight
import ApusModels
import ApusProgram
import Testing

@Suite struct MeasuredProcessorTests {
  private func samples(_ seconds: ([Double]) -> Double) -> [MeasuredCurve.Sample] {
    var samples: [MeasuredCurve.Sample] = []
    for flops in [1e3, 5e4, 2e6, 8e7] {
      for bytes in [4e3, 6e5, 3e7] {
        let values = [1, flops, bytes, bytes / 3, 0, max(0, bytes - 8e6), 0]
        samples.append(MeasuredCurve.Sample(values, seconds: seconds(values)))
      }
    }
    return samples
  }

  /// A machine that is exactly of the fitted form is found, beyond the samples too.
  @Test func exactForm() {
    let truth = MeasuredCurve(factors: [2e-6, 1 / 50e9, 1 / 30e9, 0, 0, 1 / 12e9, 0])
    let fitted = MeasuredCurve(fitting: samples(truth.seconds))
    for values in [[1, 7e6, 1e5, 3e4, 0, 0, 0], [1, 10, 9e7, 3e7, 0, 8.2e7, 0]] {
      #expect(abs(fitted.seconds(values) / truth.seconds(values) - 1) < 1e-3)
    }
  }

  /// No factor becomes negative, however the samples lie; a term that never occurs has factor 0.
  @Test func nothingNegative() {
    let falling = MeasuredCurve(fitting: samples { 1e-3 / (1 + $0[1]) + 1e-6 })
    #expect(falling.factors.allSatisfy { $0 >= 0 } && falling.factors[4] == 0 && falling.factors[6] == 0)
    let one = MeasuredCurve(fitting: [MeasuredCurve.Sample([1, 5, 5], seconds: 1e-4)])
    #expect(abs(one.seconds([1, 5, 5]) - 1e-4) < 1e-9)
  }

  /// Times that scatter are met in their mean: every second sample takes three times as long as the others.
  @Test func theMeanOfWhatScatters() {
    var index = 0
    let fitted = MeasuredCurve(
      fitting: samples { values in
        index += 1
        return (1e-6 + values[1] / 50e9) * (index.isMultiple(of: 2) ? 3 : 1)
      })
    let ratios = samples { 1e-6 + $0[1] / 50e9 }.map { fitted.seconds($0.values) / $0.seconds }
    let mean = ratios.reduce(0, +) / Double(ratios.count)
    #expect(abs(mean - 2) < 0.05, "\(mean)")
  }

  /// Least recently used goes first; what is used again stays.
  @Test func cache() {
    let block = 8 << 10
    var cache = CacheTraffic(capacity: 4 * block, arenaBytes: 100 * block)
    #expect(cache.use(0..<3 * block) == 3 * block)
    #expect(cache.use(0..<block) == 0)
    // Two more: block 1, used longest ago, is forgotten, block 0 is not.
    #expect(cache.use(10 * block..<12 * block) == 2 * block)
    #expect(cache.use(0..<block) == 0)
    #expect(cache.use(block..<2 * block) == block)
    // A stream longer than the cache finds nothing of itself.
    #expect(cache.use(20 * block..<40 * block) == 20 * block)
    #expect(cache.use(20 * block..<40 * block) == 20 * block)
    #expect(cache.use(50 * block..<50 * block) == 0)
    // Less than a block is no more than itself.
    #expect(cache.use(60 * block..<60 * block + 256) == 256)
  }

  private func description(_ measured: MeasuredProcessor) -> HardwareDescription {
    let link = HardwareDescription.Link(name: "memory", bandwidth: 4e9, latency: 5e-6)
    return HardwareDescription(
      name: "this-machine", architecture: .processor, peakFLOPs: [.fp32: 104.25e9], sustained: 1,
      multiprocessors: 1, memoryBytes: 8 * 0x1p30, memoryBandwidth: 12.5e9, runtimeBytes: 0,
      launchSeconds: 0.5e-6, devicesPerNode: 2, nodeLink: link, network: link, measured: measured)
  }

  @Test func fileAndBack() throws {
    let sharing = MeasuredProcessor.Sharing(
      ranks: 2, threads: 1, cacheBytes: 16 << 20, stepSeconds: 41.5e-6,
      curves: [
        "product tn fp32": MeasuredCurve(factors: [1.25e-6, 9.5e-12, 0, 3.125e-11, 0, 8e-11, 0]),
        "adamw bf16+fp32": MeasuredCurve(factors: [0, 0, 1e-10, 0, 1.5e-10, 0, 123]),
      ])
    let written = description(MeasuredProcessor([sharing]))
    let read = try HardwareDescription(yaml: written.yaml, name: "machine.yaml")
    #expect(read.peakFLOPs == written.peakFLOPs && read.memoryBytes == written.memoryBytes)
    let back = try #require(read.measured?.sharing(ranks: 2, threads: 1))
    #expect(back.cacheBytes == sharing.cacheBytes && abs(back.stepSeconds - 41.5e-6) < 1e-12)
    for (kind, curve) in sharing.curves {
      for (a, b) in zip(curve.factors, back.curves[kind]?.factors ?? []) { #expect(abs(a - b) <= 1e-4 * a) }
    }
    #expect(read.measured?.sharing(ranks: 1, threads: 2) == nil)
  }

  @Test func mistakesInAFile() throws {
    let yaml = description(MeasuredProcessor([])).yaml
    let wrong = yaml.replacing(
      "sharings: []",
      with: "sharings: [2x, 1x2]\n  1x2: {cache_mib: 1, step_us: -1, curves: {add fp32: [1, 2]}}")
    let error = #expect(throws: (any Error).self) {
      try HardwareDescription(yaml: wrong, name: "machine.yaml")
    }
    for word in ["\"2x\"", "step_us", "add fp32"] { #expect("\(error!)".contains(word), "\(error!)") }
  }

  private let model = ModelConfiguration(
    family: .llama, vocabularySize: 256, maximumSequenceLength: 32, layerCount: 2, hiddenSize: 32,
    headCount: 4, keyValueHeadCount: 2)

  private func work(_ layout: ParallelLayout, microbatches: Int) -> StepWork {
    let settings = TrainingProgramSettings(microBatchSize: 2, sequenceLength: 32, layout: layout)
    let program = StepProgram.training(model, settings)
    return StepWork(
      program, MemoryPlan(program) { _ in 0 }, microbatches: microbatches,
      at: MeshPosition(program.mesh, rank: 0), cacheBytes: 1 << 20)
  }

  /// Micro-batches in the middle are alike: five cost what the first, three times the second and the last cost.
  @Test func middleMicrobatchesAreCounted() {
    func total(_ count: Int, _ term: InstructionWork.Term) -> Double {
      work(ParallelLayout(), microbatches: count).entries.reduce(0) {
        $0 + $1.times * $1.work.values[term.rawValue]
      }
    }
    for term in [InstructionWork.Term.call, .flops, .firstBytes, .resultBytes, .exponentials] {
      let step = total(4, term) - total(3, term)
      #expect(step > 0 && abs(total(5, term) - total(4, term) - step) < 1e-6 * total(5, term))
    }
  }

  /// What a small step touches stays in the cache; a cache of one block keeps nothing.
  @Test func farBytes() {
    func far(_ cache: Int) -> Double {
      let settings = TrainingProgramSettings(microBatchSize: 2, sequenceLength: 32)
      let program = StepProgram.training(model, settings)
      let plan = MemoryPlan(program) { _ in 0 }
      return StepWork(
        program, plan, microbatches: 1, at: MeshPosition(program.mesh, rank: 0), cacheBytes: cache
      ).entries.reduce(0) { $0 + $1.work.values[InstructionWork.Term.farBytes.rawValue] }
    }
    #expect(far(64 << 20) == 0)
    #expect(far(1) > far(1 << 18) && far(1 << 18) > 0)
  }

  /// A step's time is the sum over its instructions; without a curve for one of them there is none.
  @Test func seconds() {
    let work = work(ParallelLayout(data: 2, zeroStage: 3), microbatches: 2)
    let kinds = Set(work.entries.map(\.work.kind))
    #expect(kinds.contains { $0.contains("reduce-scatter") } && kinds.contains { $0.contains("all-gather") })
    var sharing = MeasuredProcessor.Sharing(
      ranks: 2, threads: 1, cacheBytes: 1, stepSeconds: 0.5,
      curves: Dictionary(
        uniqueKeysWithValues: kinds.map { ($0, MeasuredCurve(factors: [1, 0, 0, 0, 0, 0, 0])) }))
    #expect(work.seconds(sharing) == 0.5 + Double(work.entries.count))
    sharing.curves["product tn fp32"] = nil
    #expect(work.seconds(sharing) == nil && work.unknownKinds(sharing) == ["product tn fp32"])
  }

  /// On a machine that was measured a plan tries what training can run there, and prices each choice by its own
  /// program; without a curve for something it falls back on the model of accelerators.
  @Test func plansByItsOwnPrograms() throws {
    var request = PlanRequest(
      model: model, hardware: description(MeasuredProcessor([])), devices: 2, sequenceLength: 32,
      globalBatchTokens: 32 * 8, numbers: JobNumbers(of: .fp32))
    #expect(request.choices.allSatisfy { $0.context == 1 && $0.pipeline == 1 && $0.data * $0.tensor == 2 })
    #expect(Set(request.choices.map(\.tensor)) == [1, 2])

    func work(_ choice: PlanRequest.Choice) -> StepWork {
      let job = request.job(choice)
      let program = StepProgram.training(model, job.programSettings())
      return StepWork(
        program, MemoryPlan(program) { _ in 0 }, microbatches: job.layout.microbatches,
        at: MeshPosition(program.mesh, rank: 0), cacheBytes: 1 << 20,
        measuresNoise: program.mesh.layout.hasGradientOfFirstMicrobatch)
    }
    let kinds = Set(request.choices.flatMap { work($0).entries.map(\.work.kind) })
    let sharing = MeasuredProcessor.Sharing(
      ranks: 2, threads: 1, cacheBytes: 1 << 20, stepSeconds: 1e-4,
      curves: Dictionary(
        uniqueKeysWithValues: kinds.map { ($0, MeasuredCurve(factors: [1e-6, 1e-11, 0, 0, 1e-10, 0, 0])) }))
    request.hardware.measured = MeasuredProcessor([sharing])
    let search = PlanSearch(request)
    #expect(search.entries.count == request.choices.count)
    for entry in search.entries {
      let expected = try #require(work(entry.choice).seconds(sharing))
      #expect(abs(entry.forecast.stepSeconds / expected - 1) < 1e-9, "\(entry.choice)")
    }
    // Recomputation and accumulation cost time, so the best choice has neither.
    #expect(search.best?.choice.recomputation == JobRecomputation.none)

    request.hardware.measured = MeasuredProcessor([])
    #expect(try #require(PlanSearch(request).best).forecast.stepSeconds > 0)
  }
}
