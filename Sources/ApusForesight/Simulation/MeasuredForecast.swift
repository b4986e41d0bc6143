import ApusCore
import ApusModels
import ApusProgram

/// The forecast of a job on a machine that was measured and can run it: the job's own program, planned and priced
/// instruction by instruction. There is nothing to simulate, since a rank's instructions follow each other.
struct MeasuredForecast {
  private let job: TrainingJob
  private let program: StepProgram
  private let plan: MemoryPlan
  private let sharing: MeasuredProcessor.Sharing

  /// Nil where the machine was not measured with so many ranks, and for axes that training cannot run along.
  init?(_ job: TrainingJob) {
    let ranks = job.layout.worldSize
    guard job.layout.pipeline == 1, job.layout.context == 1, job.experts == nil,
      let sharing = job.hardware.measured?.sharing(
        ranks: ranks, threads: max(1, job.hardware.devicesPerNode / ranks))
    else { return nil }
    self.job = job
    self.sharing = sharing
    var settings = job.programSettings()
    settings.accumulates = job.layout.microbatches > 1
    program = StepProgram.training(job.recordedModel, settings)
    // Scratch of the products is the backend's to know; it is small beside the rest.
    plan = MemoryPlan(program) { _ in 0 }
  }

  /// Bytes of a rank.
  var memory: MemoryForecast {
    var memory = MemoryForecast()
    memory.parameters = Double(program.byteCount(of: .parameter))
    memory.gradients = Double(plan.bytesAtPeak[.gradient] ?? 0)
    memory.optimizer = Double(program.byteCount(of: .optimizerState))
    memory.activations =
      Double(plan.totalBytes) - memory.parameters - memory.gradients - memory.optimizer
    // The whole plan is mapped before the first step.
    memory.allocatedPeak = Double(plan.totalBytes)
    memory.firstPeak = memory.allocatedPeak
    memory.reservedPeak = memory.allocatedPeak
    memory.devicePeak = memory.allocatedPeak + job.hardware.runtimeBytes
    memory.fits = memory.devicePeak <= job.hardware.memoryBytes
    return memory
  }

  /// Fills in the time; false where the machine was not measured with some kind of instruction.
  func fill(_ forecast: inout StepForecast) -> Bool {
    let position = MeshPosition(program.mesh, rank: 0)
    let work = StepWork(
      program, plan, microbatches: job.layout.microbatches, at: position, cacheBytes: sharing.cacheBytes,
      measuresNoise: program.mesh.layout.hasGradientOfFirstMicrobatch)
    guard let seconds = work.seconds(sharing) else { return false }
    forecast.stepSeconds = seconds
    for entry in work.entries {
      let spent = entry.times * (sharing.curves[entry.work.kind]?.seconds(entry.work.values) ?? 0)
      if let axis = entry.axis {
        forecast.exposed[axis == .tensor ? .tensor : .data, default: 0] += spent
      } else if entry.segment == .optimizer || entry.segment == .synchronise {
        forecast.optimizerSeconds += spent
      } else {
        forecast.computeSeconds += spent
      }
    }
    forecast.memory = memory
    return true
  }
}
