import ApusCommunication
import ApusConfiguration
import ApusCore
import ApusForesight
import ApusModels
import ApusProgram
import ApusRuntime

/// This machine as a hardware description: its processor measured, ranks as threads of one process.
package enum ThisMachine {
  package static let name = "this-machine"

  /// Measures the machine. A device of the description is a rank with one core.
  ///
  /// - Parameter precisions: whose kernels are measured; each takes some seconds.
  package static func describe(_ precisions: [PrecisionPolicy]) throws -> HardwareDescription {
    let cores = ArithmeticLibrary.defaultThreads
    let plain = try MachineMeasurement.measure(threads: 1, sizes: [1024, 2048], repeats: 3)
    let bandwidth = plain.memoryBytesPerSecond
    var sharings = [
      try MachineCalibration.measure(subjects(precisions, ranks: 1), threads: cores)
    ]
    if cores > 1 {
      let subjects = subjects(precisions, ranks: cores)
      sharings.append(
        try LocalRanks.run(cores) { world in
          try MachineCalibration.measure(
            subjects, threads: 1, place: RankPlace(world, ranksOnMachine: cores))
        }[0])
    }
    // Ranks exchange through memory: read, written, read again.
    let link = HardwareDescription.Link(
      name: "memory of this machine", bandwidth: bandwidth / 3, latency: 5e-6)
    return HardwareDescription(
      name: name, architecture: .processor, peakFLOPs: [.fp32: plain.peakFLOPsPerSecond], sustained: 1,
      multiprocessors: 1, memoryBytes: Double(AvailableMemory.byteCount()) / Double(cores),
      memoryBandwidth: bandwidth, runtimeBytes: 0, launchSeconds: 0.5e-6, devicesPerNode: cores,
      nodeLink: link, network: link, measured: MeasuredProcessor(sharings))
  }

  /// Both families with every kind of recomputation, dropout and, with several ranks, division of the work.
  package static func subjects(
    _ precisions: [PrecisionPolicy], ranks: Int
  ) -> [CalibrationGrid.Subject] {
    var layouts = [ParallelLayout()]
    if ranks > 1 {
      layouts = (0...3).map { ParallelLayout(data: ranks, zeroStage: $0) }
      if CalibrationGrid.canDivide(over: ParallelLayout(tensor: ranks)) {
        layouts = layouts.flatMap {
          [$0, ParallelLayout(tensor: ranks, sequenceParallel: $0.zeroStage.isMultiple(of: 2))]
        }
      }
    }
    return precisions.flatMap { precision in
      ModelConfiguration.Family.allCases.map { family in
        CalibrationGrid.Subject(
          family: family, precision: precision,
          recomputations: [.none, .none, .uniform(.selective), .none, .uniform(.full)],
          dropouts: family == .gpt2 ? [0, 0, 0.1] : [0], layouts: layouts)
      }
    }
  }
}
