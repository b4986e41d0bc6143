import Dispatch
import Foundation
import Synchronization

extension StepSimulator {
  /// Forecasts of many jobs on all cores, in the order of the jobs; they do not depend on the number of cores.
  package func forecasts(_ jobs: [TrainingJob]) -> [Result<StepForecast, ForesightError>] {
    let workers = min(max(1, ProcessInfo.processInfo.activeProcessorCount), max(1, jobs.count))
    let parts = Mutex<[Int: [Result<StepForecast, ForesightError>]]>([:])
    DispatchQueue.concurrentPerform(iterations: workers) { worker in
      let range = jobs.count * worker / workers..<jobs.count * (worker + 1) / workers
      let part = jobs[range].map { job in
        Result { () throws(ForesightError) in try forecast(job) }
      }
      parts.withLock { $0[worker] = part }
    }
    return parts.withLock { known in (0..<workers).flatMap { known[$0] ?? [] } }
  }
}
