import ApusConfiguration
import ApusCore
import ApusForesight
import ApusProgram
import ApusRuntime
import ApusTraining

/// What `apus train` says at its end: the step as this machine's calibration foresees it, beside what was measured.
struct RealAgainstForeseen: Encodable {
  let predictedStepSeconds: Double?
  let measuredStepSeconds: Double
  let plannedBytes, peakResidentBytes: Int

  /// Calibrates the machine, about two seconds, when the run is over.
  init(_ configuration: Configuration, tokensPerSecond: Double) throws {
    let job = try MachineJob(configuration)
    predictedStepSeconds = job.foresee(try job.calibrate(), peak: 1)?.result.stepSeconds
    measuredStepSeconds = Double(job.tokensOfStep) / tokensPerSecond
    let program = StepProgram.training(job.shape, job.settings)
    plannedBytes = MemoryPlan(program, workspace: CPUCatalogue(threads: job.threads).workspace).totalBytes
    peakResidentBytes = ProcessMemory.peakResidentBytes
  }

  var text: String {
    var line = "step: "
    if let predictedStepSeconds {
      let off = 100 * (predictedStepSeconds / measuredStepSeconds - 1)
      line +=
        "\(DurationWords.text(predictedStepSeconds)) foreseen, \(DurationWords.text(measuredStepSeconds)) measured "
        + "(\(off > 0 ? "+" : "")\(off.formatted(decimals: 1)) %)"
    } else {
      line += "\(DurationWords.text(measuredStepSeconds)) measured, not foreseen"
    }
    return line + "; memory: \(ByteCount(plannedBytes)) planned for the step, "
      + "\(ByteCount(peakResidentBytes)) the whole process at its peak"
  }
}
