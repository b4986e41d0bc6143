import ApusCore
import ApusModels
import Foundation
import Synchronization

/// Foresees the runs of a simulated sweep on all cores.
package struct SweepForecast: Sendable {
  package let simulator: StepSimulator

  package init(_ simulator: StepSimulator = StepSimulator()) { self.simulator = simulator }

  /// One record a setting, in order.
  package func records(_ settings: [SweepRecord.Setting]) -> [SweepRecord] {
    let results = Mutex<[SweepRecord?]>(Array(repeating: nil, count: settings.count))
    let chunk = 64
    DispatchQueue.concurrentPerform(iterations: (settings.count + chunk - 1) / chunk) { part in
      let range = part * chunk..<min(settings.count, (part + 1) * chunk)
      let records = settings[range].map(record)
      results.withLock { list in
        for (index, record) in zip(range, records) { list[index] = record }
      }
    }
    return results.withLock { $0.compactMap { $0 } }
  }

  /// Foresees one.
  package func record(_ setting: SweepRecord.Setting) -> SweepRecord {
    var record = SweepRecord(.simulated, fields: setting.fields)
    do {
      let forecast = try simulator.forecast(setting.job)
      record.predicted = SweepRecord.Result(forecast, setting.job)
      record.predictedStatus = forecast.memory.fits ? .ok : .outOfMemory
      if let verdict = MemoryVerdict(forecast.memory, setting.job.hardware) {
        record.reason = verdict.description
      }
    } catch {
      record.predictedStatus = .crashed
      record.reason = "\(error)"
    }
    return record
  }
}

extension SweepRecord.Result {
  /// Utilisation as the published campaign counts it: embedding and head apart, attention in full (B7).
  package init(_ forecast: StepForecast, _ job: TrainingJob) {
    let flops = job.modelFLOPs(.embeddingAndHeadApart)
    self.init(
      stepSeconds: forecast.stepSeconds, tokensPerSecondPerDevice: forecast.tokensPerSecondPerDevice,
      utilization: flops.utilization(
        tokensPerSecond: forecast.tokensPerSecondPerDevice,
        peakFLOPsPerSecond: job.hardware.peak(job.numbers.product), .full),
      peakBytes: forecast.memory.allocatedPeak)
  }
}

/// Why a job does not fit, in the words of an operator: by how much, where, and from which step.
package struct MemoryVerdict: Hashable, Sendable, CustomStringConvertible {
  package let missing: ByteCount
  package let stage: Int
  /// 1: already in the first pass; 2: once the optimizer's states are there.
  package let fromStep: Int

  /// Nil where it fits.
  package init?(_ memory: MemoryForecast, _ hardware: HardwareDescription) {
    guard memory.devicePeak > hardware.memoryBytes else { return nil }
    missing = ByteCount(Int(memory.devicePeak - hardware.memoryBytes))
    stage = memory.stage
    // What lies between allocated and held applies to the first step too.
    let first = memory.devicePeak - (memory.allocatedPeak - memory.firstPeak)
    fromStep = first > hardware.memoryBytes ? 1 : 2
  }

  package var description: String { "out of memory by \(missing) on stage \(stage) from step \(fromStep)" }
}
