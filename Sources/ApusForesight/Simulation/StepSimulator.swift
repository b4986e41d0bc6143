import ApusModels

/// Foresees a step: prices the recorded parts, then plays the schedule of all stages.
package struct StepSimulator: Sendable {
  package let constants: CostConstants

  package init(_ constants: CostConstants = CostConstants()) { self.constants = constants }

  package func forecast(_ job: TrainingJob) -> StepForecast {
    var forecast = StepForecast()
    let prices = LayerPrices(job, constants)
    let times = StageTimes(job, prices, constants)
    times.fill(&forecast)
    forecast.memory = MemoryModel(job, prices, constants).forecast()
    let tokens = Double(job.tokensPerStep)
    let devices = Double(job.layout.worldSize)
    forecast.tokensPerSecondPerDevice = tokens / forecast.stepSeconds / devices
    let flops = ModelFLOPs(job.model, sequenceLength: job.sequenceLength)
    let peak = job.hardware.peak(job.numbers.product)
    forecast.utilizationCausal =
      flops.perToken(.causal) * forecast.tokensPerSecondPerDevice / peak
    forecast.utilizationFull = flops.perToken(.full) * forecast.tokensPerSecondPerDevice / peak
    return forecast
  }
}
