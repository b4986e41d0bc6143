import ApusCore

/// What `apus profile` measured: plain data, as `profile.json` holds it.
package struct ProfileReport: Codable, Hashable, Sendable {
  package typealias Fact = RunReport.Fact

  /// `gpt2-124m`
  package var title: String
  /// The batch, as a person reads it.
  package var batch: String
  package var facts: [Fact]
  package var steps: [Step]
  package var operations: [Operation]
  package var memory: Memory
  package var arithmetic: Arithmetic
  /// One entry an axis of the mesh over which ranks communicate; empty on one rank.
  package var communication: [Axis]

  package init(
    title: String, batch: String, facts: [Fact], steps: [Step], operations: [Operation], memory: Memory,
    arithmetic: Arithmetic, communication: [Axis]
  ) {
    self.title = title
    self.batch = batch
    self.facts = facts
    self.steps = steps
    self.operations = operations
    self.memory = memory
    self.arithmetic = arithmetic
    self.communication = communication
  }

  /// One timed step, seconds.
  package struct Step: Codable, Hashable, Sendable {
    package var step: Int
    package var seconds: Double
    package var forward: Double
    package var backward: Double
    package var optimizer: Double
    package var data: Double

    package init(
      step: Int, seconds: Double, forward: Double, backward: Double, optimizer: Double, data: Double
    ) {
      self.step = step
      self.seconds = seconds
      self.forward = forward
      self.backward = backward
      self.optimizer = optimizer
      self.data = data
    }
  }

  /// All instructions of one kind in one segment of the median step.
  package struct Operation: Codable, Hashable, Sendable {
    package var operation: String
    package var segment: String
    package var count: Int
    package var seconds: Double
    /// Of the step.
    package var share: Double
    package var flops: Int
    package var bytes: Int
    /// `matrix peak` or `memory`: whichever alone would take longer.
    package var bound: String
    /// The time that the bound alone would take.
    package var boundSeconds: Double
    /// `boundSeconds` over `seconds`; above 1 where operands stay in the cache.
    package var shareOfBound: Double

    package init(
      operation: String, segment: String, count: Int, seconds: Double, share: Double, flops: Int, bytes: Int,
      bound: String, boundSeconds: Double, shareOfBound: Double
    ) {
      self.operation = operation
      self.segment = segment
      self.count = count
      self.seconds = seconds
      self.share = share
      self.flops = flops
      self.bytes = bytes
      self.bound = bound
      self.boundSeconds = boundSeconds
      self.shareOfBound = shareOfBound
    }
  }

  /// Memory of the arena over step 1 and a later step, instruction by instruction.
  package struct Memory: Codable, Hashable, Sendable {
    /// What the plan reserves, and the sum alive at its fullest instruction.
    package var plannedBytes: Int
    package var lowerBoundBytes: Int
    /// End of the last byte that steps touched, found by a pattern.
    package var highWaterBytes: Int
    /// Memory of the machine.
    package var capacityBytes: Int
    /// What the process held at most, code and libraries included.
    package var residentBytes: Int
    /// What three later steps took from the allocator and kept.
    package var heapGrowthBytes: Int
    /// Pages that these three steps touched for the first time, temporary memory included.
    package var pageFaults: Int
    /// Bytes of a watched chunk: the measured curves are known to so many.
    package var chunkBytes: Int
    /// Where the segments of the steps begin.
    package var marks: [Mark]
    /// Milliseconds on the median step's clock, one an instruction.
    package var times: [Double]
    package var labels: [String]
    /// Predicted from the plan's lifetimes, by role.
    package var predicted: [Series]
    /// Measured by watching the arena's pages; nil where the system does not tell.
    package var measured: [Series]?
    /// Bytes touched so far, as pages fault: what an allocator that grows would have got.
    package var touched: [Int]?

    package init(
      plannedBytes: Int, lowerBoundBytes: Int, highWaterBytes: Int, capacityBytes: Int, residentBytes: Int,
      heapGrowthBytes: Int, pageFaults: Int, chunkBytes: Int, marks: [Mark], times: [Double],
      labels: [String], predicted: [Series],
      measured: [Series]?, touched: [Int]?
    ) {
      self.plannedBytes = plannedBytes
      self.lowerBoundBytes = lowerBoundBytes
      self.highWaterBytes = highWaterBytes
      self.capacityBytes = capacityBytes
      self.residentBytes = residentBytes
      self.heapGrowthBytes = heapGrowthBytes
      self.pageFaults = pageFaults
      self.chunkBytes = chunkBytes
      self.marks = marks
      self.times = times
      self.labels = labels
      self.predicted = predicted
      self.measured = measured
      self.touched = touched
    }

    /// The largest sum of some curves at one instruction.
    package static func peak(_ series: [Series]) -> Int {
      guard let first = series.first else { return 0 }
      return first.bytes.indices.map { index in series.reduce(0) { $0 + $1.bytes[index] } }.max() ?? 0
    }
  }

  package struct Series: Codable, Hashable, Sendable {
    package var name: String
    package var bytes: [Int]

    package init(name: String, bytes: [Int]) {
      self.name = name
      self.bytes = bytes
    }
  }

  package struct Mark: Codable, Hashable, Sendable {
    /// Position of the first instruction.
    package var index: Int
    /// `step 1 forward`
    package var name: String

    package init(index: Int, name: String) {
      self.index = index
      self.name = name
    }
  }

  package struct Arithmetic: Codable, Hashable, Sendable {
    /// FLOPs that the model needs for a step: 6 a parameter and token, causal attention as half.
    package var modelFLOPs: Double
    /// Matrix FLOPs that the program runs, recomputation included.
    package var programFLOPs: Double
    package var peakFLOPsPerSecond: Double
    /// What the peak was measured on.
    package var peakOf: String
    package var memoryBytesPerSecond: Double
    /// `modelFLOPs` a second over the peak.
    package var modelUtilization: Double
    /// `programFLOPs` a second over the peak.
    package var programUtilization: Double
    /// The step's time if every instruction ran at its own bound.
    package var boundSeconds: Double
    package var stepSeconds: Double

    package init(
      modelFLOPs: Double, programFLOPs: Double, peakFLOPsPerSecond: Double, peakOf: String,
      memoryBytesPerSecond: Double, boundSeconds: Double, stepSeconds: Double
    ) {
      self.modelFLOPs = modelFLOPs
      self.programFLOPs = programFLOPs
      self.peakFLOPsPerSecond = peakFLOPsPerSecond
      self.peakOf = peakOf
      self.memoryBytesPerSecond = memoryBytesPerSecond
      modelUtilization = modelFLOPs / stepSeconds / peakFLOPsPerSecond
      programUtilization = programFLOPs / stepSeconds / peakFLOPsPerSecond
      self.boundSeconds = boundSeconds
      self.stepSeconds = stepSeconds
    }
  }

  /// Traffic of a step along one axis of the mesh.
  package struct Axis: Codable, Hashable, Sendable {
    package var name: String
    package var calls: Int
    package var bytes: Int
    package var seconds: Double
    /// Seconds in which nothing was computed meanwhile.
    package var exposedSeconds: Double

    package init(name: String, calls: Int, bytes: Int, seconds: Double, exposedSeconds: Double) {
      self.name = name
      self.calls = calls
      self.bytes = bytes
      self.seconds = seconds
      self.exposedSeconds = exposedSeconds
    }
  }
}
