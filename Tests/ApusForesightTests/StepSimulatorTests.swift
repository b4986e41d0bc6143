import ApusCore
import ApusForesight
import ApusModels
import Testing

@Suite struct StepSimulatorTests {
  /// Llama 3 8B on H100.
  static func job(
    _ layout: ParallelLayout, schedule: PipelineSchedule = .oneForwardOneBackward, microbatches: Int = 8,
    microBatch: Int = 1, recomputation: JobRecomputation = .none, stack: SoftwareStack = .apus
  ) throws -> TrainingJob {
    let model = ModelConfiguration(
      family: .llama, vocabularySize: 128_256, maximumSequenceLength: 4096, layerCount: 32, hiddenSize: 4096,
      headCount: 32, keyValueHeadCount: 8, intermediateSize: 14_336, tiedEmbeddings: false)
    let hardware = try #require(try HardwareCatalogue.shipped().named("H100-80GB"))
    return TrainingJob(
      model: model,
      layout: JobLayout(
        layout, schedule: schedule, microBatchSize: microBatch, microbatches: microbatches),
      sequenceLength: 4096, recomputation: recomputation, stack: stack, hardware: hardware)
  }

  static let schedules: [PipelineSchedule] = [
    .naive, .allForwardAllBackward, .oneForwardOneBackward, .interleaved(chunks: 2, group: nil),
    .zeroBubbleH1, .zeroBubbleH2, .dualPipe,
  ]

  /// Two shorter plays say what a long one takes.
  @Test(arguments: schedules, [3, 4])
  func longSchedulesAreExtrapolatedExactly(schedule: PipelineSchedule, groups: Int) throws {
    let job = try Self.job(
      ParallelLayout(data: 2, tensor: 2, pipeline: 4), schedule: schedule, microbatches: 12 * groups)
    let play = StepSimulator().play(job)
    let whole = try play.timetable().entries.map { $0.last?.end ?? 0 }
    for (device, end) in try play.ends().enumerated() {
      // The naive order lets a device be done before the others; its step ends with the last one.
      let expected = schedule == .naive ? whole.max() ?? 0 : whole[device]
      #expect(abs(end / expected - 1) < 0.005, "\(schedule.name) device \(device): \(end) \(expected)")
    }
  }

  /// S2: what a device does and waits for is the step.
  @Test func theShownPartsAddUpToTheStep() throws {
    for layout in [
      ParallelLayout(data: 8), ParallelLayout(data: 8, zeroStage: 3), ParallelLayout(data: 4, tensor: 8),
      ParallelLayout(data: 2, tensor: 4, pipeline: 4, zeroStage: 1, sequenceParallel: true),
      ParallelLayout(data: 2, context: 4),
    ] {
      let forecast = try StepSimulator().forecast(Self.job(layout))
      let waited = forecast.exposed.values.reduce(0, +)
      let sum =
        forecast.computeSeconds + forecast.hostSeconds + forecast.bubbleSeconds + waited
        + forecast.optimizerSeconds + CostConstants().stepSeconds
      #expect(abs(sum / forecast.stepSeconds - 1) < 0.03, "\(layout): \(sum) of \(forecast.stepSeconds)")
    }
  }

  /// Ranks that differ only in their data coordinate do the same: 16,384 devices cost no more to foresee.
  @Test func symmetricRanksArePlayedOnce() throws {
    func stages(_ data: Int) throws -> [StageSeconds] {
      StepSimulator().play(try Self.job(ParallelLayout(data: data, tensor: 8, pipeline: 16))).seconds.map(
        \.forward)
    }
    #expect(try stages(1) == stages(128))
    #expect(try stages(1).count == 16)
  }

  @Test func recomputationCostsAThirdAtMostAndSavesMemory() throws {
    let layout = ParallelLayout(data: 8)
    let none = try StepSimulator().forecast(Self.job(layout, microBatch: 4))
    let full = try StepSimulator().forecast(Self.job(layout, microBatch: 4, recomputation: .full))
    #expect(full.computeSeconds > 1.15 * none.computeSeconds)
    #expect(full.computeSeconds < 1.34 * none.computeSeconds)
    #expect(full.memory.activations < 0.15 * none.memory.activations)
    #expect(full.memory.parameters == none.memory.parameters)
  }

  /// A step whose memory is foreseen close to the limit counts on retries; one that plans its memory does not.
  @Test func retriesAreExpectedNearTheLimitAlone() throws {
    func slower(_ stack: SoftwareStack, share: Double) throws -> Double {
      var job = try Self.job(ParallelLayout(data: 8, zeroStage: 1), stack: stack)
      let free = try StepSimulator().forecast(job)
      job.hardware.memoryBytes = free.memory.devicePeak / share
      return try StepSimulator().forecast(job).stepSeconds / free.stepSeconds - 1
    }
    let constants = CostConstants()
    let megatron = SoftwareStack(.megatron)
    #expect(try slower(megatron, share: 1 - constants.memoryUncertainty) < 1e-9)
    #expect(abs(try slower(megatron, share: 1) - constants.allocatorRetry) < 1e-9)
    let half = try slower(megatron, share: 1 - constants.memoryUncertainty / 2)
    #expect(abs(half - constants.allocatorRetry / 2) < 1e-9)
    #expect(try slower(.apus, share: 1) == 0)
  }

  /// More to keep takes more memory, more ranks to share it take less, in every stack.
  @Test(arguments: SoftwareStack.Name.allCases)
  func memoryIsMonotone(name: SoftwareStack.Name) throws {
    let simulator = StepSimulator()
    func peaks(_ values: [Int], _ job: (Int) throws -> TrainingJob) throws -> [Double] {
      try values.map { simulator.memory(of: try job($0)).devicePeak }
    }
    let stack = SoftwareStack(name)
    let microBatches = try peaks([1, 2, 4, 8]) {
      try Self.job(ParallelLayout(data: 2, tensor: 2, pipeline: 2), microBatch: $0, stack: stack)
    }
    let sequences = try peaks([512, 2048, 8192, 131_072]) {
      var job = try Self.job(ParallelLayout(data: 8), stack: stack)
      job.sequenceLength = $0
      return job
    }
    for growing in [microBatches, sequences] { #expect(zip(growing, growing.dropFirst()).allSatisfy(<)) }
    let tensor = try peaks([1, 2, 4, 8]) { try Self.job(ParallelLayout(tensor: $0), stack: stack) }
    let sharded = try peaks([0, 1, 2, 3]) {
      try Self.job(ParallelLayout(data: 16, zeroStage: $0), stack: stack)
    }
    let context = try peaks([1, 2, 4, 8]) { try Self.job(ParallelLayout(context: $0), stack: stack) }
    let replicas = try peaks([1, 2, 16, 512]) {
      try Self.job(ParallelLayout(data: $0, zeroStage: 1), stack: stack)
    }
    for falling in [tensor, sharded, context, replicas] {
      #expect(zip(falling, falling.dropFirst()).allSatisfy(>))
    }
  }

  /// S26: states are divided as the stage says.
  @Test func shardedStatesAreDivided() throws {
    func memory(_ stage: Int) throws -> MemoryForecast {
      try StepSimulator().forecast(Self.job(ParallelLayout(data: 8, zeroStage: stage))).memory
    }
    let stages = try (0...3).map(memory)
    #expect(stages[1].optimizer == stages[0].optimizer / 8 && stages[1].gradients == stages[0].gradients)
    #expect(stages[2].gradients == stages[0].gradients / 8 && stages[2].parameters == stages[0].parameters)
    #expect(stages[3].parameters == stages[0].parameters / 8)
    // 16 bytes a parameter; the published count of Llama 3 8B.
    let bytes = stages[0].parameters + stages[0].gradients + stages[0].optimizer
    #expect(abs(bytes / (16 * 8_030_261_248) - 1) < 1e-3)
    // The moments are missing until the first update (S8).
    #expect(abs((stages[0].allocatedPeak - stages[0].firstPeak) / (8 * 8_030_261_248) - 1) < 1e-3)
  }

  @Test(arguments: schedules)
  func whatIsInFlightIsWhatTheOrdersSay(schedule: PipelineSchedule) throws {
    let (devices, microbatches) = (4, 16)
    let job = try Self.job(
      ParallelLayout(pipeline: devices), schedule: schedule, microbatches: microbatches)
    let memory = MemoryModel(job, LayerPrices(job, CostConstants()), CostConstants())
    let orders = try schedule.orders(devices: devices, microbatches: microbatches)
    for device in 0..<devices {
      let counted = orders.peakLive(device: device)
      #expect(memory.inFlight(device) == Double(counted), "\(schedule.name) device \(device)")
    }
  }

  @Test func stagesHoldEveryLayerOnce() throws {
    for schedule in Self.schedules {
      let job = try Self.job(ParallelLayout(pipeline: 4), schedule: schedule, microbatches: 16)
      let stages = StagePlan.stages(job)
      #expect(stages.reduce(0) { $0 + $1.layers } == 32)
      #expect(stages.first?.hasEmbedding == true && stages.last?.hasHead == true)
      #expect(stages.count == schedule.stages(devices: 4))
    }
  }

  /// A stage is full when its FLOPs exceed its share: the head takes the place of about two layers here.
  @Test func stagesByCostCountTheHead() throws {
    let job = try Self.job(ParallelLayout(pipeline: 4), stack: SoftwareStack(.nanotron))
    let layers = StagePlan.stages(job).map(\.layers)
    #expect(layers.reduce(0, +) == 32)
    #expect((layers.last ?? 0) < (layers.first ?? 0))
  }

  @Test func impossibleSchedulesAreRefused() throws {
    let job = try Self.job(ParallelLayout(pipeline: 4), schedule: .dualPipe, microbatches: 3)
    #expect(throws: ForesightError.self) { try StepSimulator().forecast(job) }
  }

  @Test func manyForecastsAreThoseOfOneAtATime() throws {
    let jobs = try [1, 2, 4, 8, 16].map { try Self.job(ParallelLayout(data: 8, tensor: $0 > 8 ? 1 : $0)) }
    let simulator = StepSimulator()
    let single = try jobs.map { try StepSimulator().forecast($0) }
    #expect(try simulator.forecasts(jobs).map { try $0.get() } == single)
    #expect(simulator.forecasts([]).isEmpty)
  }

  /// Whatever changes a layer's program keeps its price apart from the others.
  @Test func cachedPricesAreThoseOfTheJob() throws {
    let simulator = StepSimulator()
    for stack in [SoftwareStack(.nanotron), SoftwareStack(.megatron)] {
      for pipeline in [1, 2] {
        for tensor in [1, 4] {
          for sequenceParallel in [false, true] {
            let job = try Self.job(
              ParallelLayout(tensor: tensor, pipeline: pipeline, sequenceParallel: sequenceParallel),
              stack: stack)
            #expect(try simulator.forecast(job) == StepSimulator().forecast(job))
          }
        }
      }
    }
  }
}
