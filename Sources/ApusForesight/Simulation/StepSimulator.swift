import ApusModels

/// Foresees a step: prices the recorded parts, then plays the schedule of all stages.
///
/// Ranks that differ only along the tensor, context or data axis do the same work, so one of them is played:
/// what is computed grows with the stages alone, not with the ranks.
package struct StepSimulator: Sendable {
  package let constants: CostConstants
  private let prices = PriceCache()

  package init(_ constants: CostConstants = CostConstants()) { self.constants = constants }

  /// - Throws: `impossibleSchedule` where the schedule is not defined for the job's numbers.
  package func forecast(_ job: TrainingJob) throws(ForesightError) -> StepForecast {
    var forecast = StepForecast()
    if !(MeasuredForecast(job)?.fill(&forecast) ?? false) {
      let prices = self.prices.prices(of: job, constants)
      try StepPlay(job, prices, constants).fill(&forecast)
      forecast.memory = MemoryModel(job, prices, constants).forecast()
      let lost = forecast.stepSeconds * MemoryPressure.slowdown(forecast.memory, job, constants)
      forecast.stepSeconds += lost
      forecast.hostSeconds += lost
    }
    let devices = Double(job.layout.worldSize)
    forecast.tokensPerSecondPerDevice = Double(job.tokensPerStep) / forecast.stepSeconds / devices
    let flops = job.modelFLOPs()
    // Utilisation is measured against the 16-bit peak also where products run in 8 bits.
    let peak = job.hardware.peak(job.numbers.compute == .fp8 ? .bf16 : job.numbers.product)
    forecast.utilizationCausal = flops.perToken(.causal) * forecast.tokensPerSecondPerDevice / peak
    forecast.utilizationFull = flops.perToken(.full) * forecast.tokensPerSecondPerDevice / peak
    return forecast
  }

  /// The memory of the fullest rank alone; needs no schedule.
  package func memory(of job: TrainingJob) -> MemoryForecast {
    MeasuredForecast(job)?.memory
      ?? MemoryModel(job, prices.prices(of: job, constants), constants).forecast()
  }

  /// The played step, for charts and traces.
  package func play(_ job: TrainingJob) -> StepPlay {
    StepPlay(job, prices.prices(of: job, constants), constants)
  }
}
