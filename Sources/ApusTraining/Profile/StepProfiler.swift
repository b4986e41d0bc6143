import ApusCore
import ApusForesight
import ApusModels
import ApusProgram
import ApusReport
import ApusRuntime
import Foundation

/// Looks at training steps from outside: which pages they touch, when, and how long each instruction takes.
///
/// Steps 1 and 2 run over a poisoned arena whose pages are watched; the steps after them are timed. Tokens are made
/// up: neither memory nor time depends on what they mean.
package struct StepProfiler {
  /// What is profiled.
  package struct Job {
    package var title: String
    package var model: ModelConfiguration
    package var settings: TrainingProgramSettings
    package var accumulation: Int
    package var threads: Int
    /// The command line, for the report.
    package var command: [String]

    package init(
      title: String, model: ModelConfiguration, settings: TrainingProgramSettings, accumulation: Int,
      threads: Int, command: [String]
    ) {
      self.title = title
      self.model = model
      self.settings = settings
      self.accumulation = accumulation
      self.threads = threads
      self.command = command
    }
  }

  private let job: Job
  private let machine: MachineMeasurement
  private let executor: Executor
  private let loop: StepLoop
  private let source: MadeUpTokens
  private static let watchedSteps = 2
  /// Steps run as training runs them: one to settle after the watch, and those whose heap use is measured.
  private static let quietSteps = 4
  /// The matrix peak of 16-bit operands, in 16-bit policies.
  private let machineOf16Bits: MachineMeasurement?
  private let scale: LossScale?

  /// Measures the machine and maps the step.
  ///
  /// - Parameter sizes: square products whose best speed is the peak.
  package init(_ job: Job, sizes: [Int] = [1024, 2048, 3072]) throws {
    self.job = job
    machine = try MachineMeasurement.measure(threads: job.threads, sizes: sizes, repeats: 3)
    let compute = job.settings.precision.compute
    machineOf16Bits =
      compute == .float32
      ? nil
      : try MachineMeasurement.measure(
        threads: job.threads, sizes: sizes, repeats: 3, measuresMemory: false, type: compute
      )
    executor = try Executor(.training(job.model, job.settings), threads: job.threads)
    loop = StepLoop(
      executor, microbatches: job.accumulation, samplesPerMicrobatch: job.settings.microBatchSize,
      optimizer: job.settings.optimizer)
    source = MadeUpTokens(
      vocabularySize: job.model.vocabularySize, sequenceLength: job.settings.sequenceLength)
    scale = .withoutSkips(job.settings.precision)
  }

  /// Profiles two watched and `steps` timed steps.
  ///
  /// - Parameter note: told what is done.
  package func run(steps: Int, note: (String) -> Void) throws -> (report: ProfileReport, trace: TraceFile) {
    let program = executor.program
    executor.poison()
    executor.initializeParameters(seed: 1)
    let watched = try watch(note)
    let highWater = executor.arenaHighWater
    note("arena: \(ByteCount(executor.plan.totalBytes)) planned, \(ByteCount(highWater)) touched")
    let heap = try heap()
    var timed: [TimedStep] = []
    let first = Self.watchedSteps + Self.quietSteps + 1
    for step in first..<first + steps { timed.append(try time(step)) }
    let median = timed.sorted { $0.outcome.seconds < $1.outcome.seconds }[timed.count / 2]
    note("steps: \(steps) timed, median \(median.outcome.seconds.formatted(decimals: 3)) s")

    let timeline = MemoryTimeline(
      program, executor.plan, schedule: Schedule.accumulation(microbatches: job.accumulation),
      steps: Self.watchedSteps)
    let seconds = median.outcome.seconds
    let instructions = median.spans.map { span in
      (
        segment: span.segment,
        instruction: program.segment(span.segment)!.instructions[span.span.instruction],
        seconds: span.span.seconds
      )
    }
    let report = ProfileReport(
      title: job.title, batch: batchText, facts: facts(program),
      steps: timed.map(\.report),
      operations: OperationShares.table(instructions, stepSeconds: seconds, bound: bound),
      memory: memory(timeline, watched, median, highWater: highWater, heap),
      arithmetic: ProfileReport.Arithmetic(
        modelFLOPs: ModelFLOPs(job.model, sequenceLength: job.settings.sequenceLength).perToken(.causal)
          * Double(median.outcome.tokens),
        programFLOPs: instructions.reduce(0) { $0 + Double($1.instruction.cost.flops) },
        peakFLOPsPerSecond: (machineOf16Bits ?? machine).peakFLOPsPerSecond,
        peakOf: (machineOf16Bits ?? machine).peakText,
        memoryBytesPerSecond: machine.memoryBytesPerSecond,
        boundSeconds: instructions.reduce(0) { $0 + bound($1.instruction).seconds }, stepSeconds: seconds),
      // One rank exchanges nothing.
      communication: [])
    return (report, trace(timed, timeline))
  }

  private func bound(_ instruction: Instruction) -> InstructionBound {
    let is16Bit = instruction.inputs.contains { $0.type == .bfloat16 || $0.type == .float16 }
    return InstructionBound(
      instruction.cost,
      peakFLOPsPerSecond: (is16Bit ? machineOf16Bits ?? machine : machine).peakFLOPsPerSecond,
      memoryBytesPerSecond: machine.memoryBytesPerSecond)
  }

  // MARK: Steps

  /// Steps 1 and 2 with their accesses noted; nil where the system does not tell, after running them all the same.
  private func watch(_ note: (String) -> Void) throws -> [AccessHistory.Event]? {
    var history: AccessHistory? = AccessHistory(
      executor.program, executor.plan, chunkByteCount: executor.watchedChunkByteCount)
    for step in 1...Self.watchedSteps {
      if step == Self.watchedSteps { history?.beginPeriod() }
      _ = try loop.run(step: step, learningRate: 1e-4, scale: scale, source) { kind, microbatch, isLast in
        guard history != nil else {
          return try executor.run(kind, microbatch: microbatch, isLast: isLast)
        }
        do {
          try executor.runWatched(kind, microbatch: microbatch) { _, notes in history?.add(notes) }
        } catch {
          note("memory: not measured page by page, \(error)")
          history = nil
          try executor.run(kind, microbatch: microbatch, isLast: isLast)
        }
      }
      note("step \(step): watched page by page")
    }
    return history?.finish()
  }

  /// What steps 4 to 6 asked of the system, run as training runs them. Step 3 takes the faults of pages that the watch
  /// had closed.
  private func heap() throws -> (growth: Int, pageFaults: Int) {
    let first = Self.watchedSteps + 1
    _ = try loop.run(step: first, learningRate: 1e-4, scale: scale, source)
    let before = (ProcessMemory.heapBytes, ProcessMemory.minorPageFaults)
    for step in first + 1..<first + Self.quietSteps {
      _ = try loop.run(step: step, learningRate: 1e-4, scale: scale, source)
    }
    return (ProcessMemory.heapBytes - before.0, ProcessMemory.minorPageFaults - before.1)
  }

  /// One step with the time of each instruction.
  struct TimedStep {
    var step: Int
    var outcome: StepOutcome
    var spans: [(segment: Segment.Kind, microbatch: Int, span: Executor.Span)]

    var report: ProfileReport.Step {
      ProfileReport.Step(
        step: step, seconds: outcome.seconds, forward: outcome.forwardSeconds,
        backward: outcome.backwardSeconds, optimizer: outcome.optimizerSeconds, data: outcome.dataSeconds)
    }
  }

  private func time(_ step: Int) throws -> TimedStep {
    var spans: [(Segment.Kind, Int, Executor.Span)] = []
    let outcome = try loop.run(step: step, learningRate: 1e-4, scale: scale, source) {
      kind, microbatch, isLast in
      try executor.run(kind, microbatch: microbatch, isLast: isLast) { spans.append((kind, microbatch, $0)) }
    }
    return TimedStep(step: step, outcome: outcome, spans: spans)
  }

  // MARK: Report

  private var batchText: String {
    let (size, length) = (job.settings.microBatchSize, job.settings.sequenceLength)
    return "\(job.accumulation) micro-batch\(job.accumulation == 1 ? "" : "es") of \(size) x \(length) tokens"
  }

  private func facts(_ program: StepProgram) -> [ProfileReport.Fact] {
    let run = RunFacts(command: job.command, threads: job.threads)
    return [
      .init("Command", run.command.joined(separator: " ")), .init("Date", run.started),
      .init("Parameters", program.parameterCount.grouped), .init("Processor", run.processor),
      .init("Threads", "\(run.threads) on \(run.cores) cores"), .init("System", run.operatingSystem),
      .init("Apus", run.apusVersion), .init("Arithmetic", run.arithmetic),
    ]
  }

  private func memory(
    _ timeline: MemoryTimeline, _ watched: [AccessHistory.Event]?, _ median: TimedStep, highWater: Int,
    _ heap: (growth: Int, pageFaults: Int)
  ) -> ProfileReport.Memory {
    let plan = executor.plan
    let program = executor.program
    var (marks, labels, times): ([ProfileReport.Mark], [String], [Double]) = ([], [], [])
    var clock = 0.0
    for (index, event) in timeline.events.enumerated() {
      let before = index > 0 ? timeline.events[index - 1] : nil
      if before?.segment != event.segment || before?.microbatch != event.microbatch
        || before?.step != event.step
      {
        marks.append(.init(index: index, name: "step \(event.step) \(event.segment.rawValue)"))
      }
      let instruction = program.segment(event.segment)!.instructions[event.instruction]
      labels.append("\(instruction.label) \(instruction.op.name)")
      times.append(1e3 * clock)
      // Every step runs the same instructions in the same order.
      clock += median.spans[index % median.spans.count].span.seconds
    }
    let roles = Role.allCases.filter { role in timeline.bytes.contains { ($0[role] ?? 0) > 0 } }
    let uses: [(String, [AccessHistory.Use])] =
      roles.filter { program.persistentByteCount(of: $0) > 0 }.map { ($0.title, [.role($0)]) } + [
        (program.accumulates ? Role.activation.title : "activations and gradients", [.values]),
        (Role.workspace.title, [.scratch]),
      ]
    var touched: [Int]?
    if let watched {
      var sum = 0
      touched = watched.map { event in
        sum += event.firstTouched
        return sum
      }
    }
    return ProfileReport.Memory(
      plannedBytes: plan.totalBytes, lowerBoundBytes: plan.lowerBound, highWaterBytes: highWater,
      capacityBytes: Int(ProcessInfo.processInfo.physicalMemory),
      residentBytes: ProcessMemory.peakResidentBytes, heapGrowthBytes: heap.growth,
      pageFaults: heap.pageFaults,
      chunkBytes: executor.watchedChunkByteCount, marks: marks,
      times: times, labels: labels,
      predicted: roles.map { role in .init(name: role.title, bytes: timeline.bytes.map { $0[role] ?? 0 }) },
      measured: watched.map { events in
        uses.map { name, uses in
          .init(name: name, bytes: events.map { event in uses.reduce(0) { $0 + (event.inUse[$1] ?? 0) } })
        }
      }, touched: touched)
  }

  private func trace(_ timed: [TimedStep], _ timeline: MemoryTimeline) -> TraceFile {
    var file = TraceFile(process: 0, name: "Apus rank 0: \(job.title)")
    guard let origin = timed.first?.spans.first?.span.start else { return file }
    func microseconds(_ time: UInt64) -> Double { Double(time - origin) / 1e3 }
    // A later step's memory: the second of the timeline.
    let later = timeline.bytes.count / Self.watchedSteps
    for step in timed {
      add(step, to: &file, microseconds)
      for (index, span) in step.spans.enumerated() {
        let bytes = timeline.bytes[later + index]
        file.addCounter(
          "planned memory in use", at: microseconds(span.span.start),
          Role.allCases.compactMap { role in bytes[role].map { (role.title, $0) } })
      }
    }
    return file
  }

  private func add(_ step: TimedStep, to file: inout TraceFile, _ microseconds: (UInt64) -> Double) {
    func stretch(_ name: String, _ row: TraceFile.Row, _ first: Int, _ last: Int) {
      let (start, end) = (step.spans[first].span.start, step.spans[last].span.end)
      file.add(
        .init(
          name: name, category: "\(row)", start: microseconds(start), duration: Double(end - start) / 1e3,
          row: row))
    }
    stretch("step \(step.step)", .steps, 0, step.spans.count - 1)
    var first = 0
    for index in step.spans.indices {
      let (span, next) = (step.spans[index], index + 1)
      if next == step.spans.count || step.spans[next].segment != span.segment
        || step.spans[next].microbatch != span.microbatch
      {
        stretch("\(span.segment.rawValue)", .segments, first, index)
        first = next
      }
      let instruction = executor.program.segment(span.segment)!.instructions[span.span.instruction]
      let (cost, limit) = (instruction.cost, bound(instruction))
      let seconds = max(span.span.seconds, 1e-9)
      file.add(
        .init(
          name: instruction.op.name, category: span.segment.rawValue, start: microseconds(span.span.start),
          duration: 1e6 * seconds, row: .instructions,
          details: [
            ("part", .text(instruction.label)), ("microbatch", .integer(span.microbatch)),
            ("FLOPs", .integer(cost.flops)), ("bytes", .integer(cost.bytes)),
            ("GFLOP/s", .number(Double(cost.flops) / seconds / 1e9)),
            ("GB/s", .number(Double(cost.bytes) / seconds / 1e9)), ("bound", .text(limit.name)),
            ("percent of bound", .number(100 * limit.seconds / seconds)),
          ]))
    }
  }
}
