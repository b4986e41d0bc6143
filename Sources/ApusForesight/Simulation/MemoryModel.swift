/// Bytes of the fullest rank: model states by their shards, saved activations of the micro-batches in
/// flight, temporaries, and what an allocator and the runtime add.
struct MemoryModel {
  let job: TrainingJob
  let constants: CostConstants

  init(_ job: TrainingJob, _ constants: CostConstants) {
    self.job = job
    self.constants = constants
  }

  func forecast() -> MemoryForecast {
    let stages = StagePlan.stages(job)
    var worst = MemoryForecast()
    for index in stages.indices {
      let one = stage(index, stages)
      if one.devicePeak > worst.devicePeak { worst = one }
    }
    worst.fits = worst.devicePeak <= job.hardware.memoryBytes
    return worst
  }

  private func stage(_ index: Int, _ stages: [StageContent]) -> MemoryForecast {
    let (layout, numbers) = (job.layout, job.numbers)
    let content = stages[index]
    let count = LocalParameters(job).count(content)
    let shards = Double(layout.shardDegree * layout.context)
    var memory = MemoryForecast()
    memory.stage = index
    memory.parameters = count * numbers.weightBytes / (layout.zeroStage >= 3 ? shards : 1)
    memory.gradients = count * numbers.gradientBytes / (layout.zeroStage >= 2 ? shards : 1)
    memory.optimizer = count * numbers.optimizerBytes / (layout.zeroStage >= 1 ? shards : 1)
    let rows = Double(job.localTokens)
    let h = Double(job.model.hiddenSize)
    let t = Double(layout.tensor)
    let token = rows * h * (job.recomputation == .full ? 2 : 34 / t)
    let inFlight = Double(min(layout.microbatches, layout.pipeline - index))
    memory.activations = inFlight * Double(content.layers) * token
    if content.hasHead { memory.temporary = 10 * rows * Double(job.model.vocabularySize) / t }
    memory.allocatedPeak =
      memory.parameters + memory.gradients + memory.optimizer + memory.activations + memory.temporary
    memory.firstPeak = memory.allocatedPeak - numbers.optimizerBytes * 2 / 3
    memory.reservedPeak = memory.allocatedPeak * constants.fragmentation
    memory.devicePeak = memory.reservedPeak + job.hardware.runtimeBytes
    return memory
  }
}
