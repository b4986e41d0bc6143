import ApusCheckpoint
import ApusCommunication
import ApusConfiguration
import ApusCore
import ApusForesight
import ApusProgram
import ApusReport
import ApusRuntime
import Foundation

/// A training run from configuration to report: the steps, with validation, checkpoints and metrics. With several
/// ranks each has a run of its own; all do the same steps, and the first one speaks and writes.
package struct TrainingRun: ~Copyable {
  /// What a run came to.
  package struct Summary: Codable, Hashable, Sendable {
    package var steps: Int
    package var loss: Double
    package var validationLoss: Double?
    package var validationBitsPerByte: Double?
    package var tokensPerSecond: Double
    package var shareOfPeak: Double
    package var seconds: Double
    package var folder: String
    /// Whether a signal ended the run before its last step.
    package var wasStopped: Bool
    /// The step as it was foreseen and as it was measured.
    package var step: StepComparison
  }

  private let setup: TrainingSetup
  private var facts: RunFacts
  private let peak: Double
  private let flopsPerToken: Double
  /// The first rank's; nil elsewhere.
  private var metrics: MetricsFile?
  private var events: TensorBoardWriter?
  private var progress: ProgressLine
  private var tokensSeen: Int
  private var noiseScale = NoiseScale()
  private var lossScale: LossScale?
  private let foreseen: StepForesight
  private var stepTimes = StepTimes()
  private var probe: RunProbe?
  private var communication: [StepRecord.AxisCommunication] = []

  private var configuration: Configuration { setup.configuration }
  private var training: TrainingSection { setup.configuration.training }

  /// Prepares everything that can fail; see `TrainingSetup`.
  ///
  /// - Parameters:
  ///   - descriptor: where progress is shown; standard output by default.
  ///   - place: this rank among those that train together; all ranks prepare at the same time.
  ///   - foresight: how fast this machine is, for what is foreseen of a step.
  package init(
    _ configuration: Configuration, start: RunFolder.Start, command: [String], descriptor: Int32 = 1,
    place: RankPlace = .alone(), foresight: StepForesight.Source = .nothing
  ) throws {
    var progress = ProgressLine(
      descriptor: descriptor, stepCount: configuration.training.steps, logEvery: configuration.output.logEvery
    )
    let setup = try TrainingSetup(configuration, start, place) { if place.isFirst { progress.note($0) } }
    let own = try MachineMeasurement.measure(
      threads: setup.threads, sizes: [1024, 2048], repeats: 3, measuresMemory: false,
      type: configuration.training.precisionPolicy.compute)
    let peak = try place.world.control.allReduce([own.peakFLOPsPerSecond], label: "the machines' peak")[0]
    if place.isFirst {
      progress.note(
        "machine: \(setup.threads * place.world.size) threads, \((peak / 1e9).formatted(decimals: 0)) GFLOP/s "
          + "measured on \(own.peakText), \(ArithmeticLibrary.description)")
    }
    let (foreseen, probe) = try StepForesight.make(foresight, setup)
    self.probe = probe
    if place.isFirst, let seconds = foreseen.stepSeconds {
      progress.note("foresight: a step of \(DurationWords.text(seconds))")
    }
    var facts = RunFacts(command: command, threads: setup.threads)
    facts.step = StepComparison(foreseen: foreseen)
    let folder = setup.folder
    let resumed = start == .resume ? setup.firstStep : nil
    if start != .resume, place.isFirst {
      try folder.write(facts)
    }
    // The average over the steps so far is what their records say; those behind the checkpoint are done again.
    var noiseScale = NoiseScale()
    if place.isFirst, let resumed {
      for record in try MetricsFile.read(path: folder.metrics.path) where record.step <= resumed {
        guard let signal = record.gradientSignal, let noise = record.gradientNoise else { continue }
        noiseScale.add(GradientNoise(signal: signal, noise: noise))
      }
    }
    if place.isFirst { try folder.write(setup.configuration.resolvedYAML, to: folder.configuration) }
    let metrics =
      place.isFirst ? try MetricsFile(path: folder.metrics.path, resumingAfter: resumed) : nil
    let events =
      configuration.output.tensorboard && place.isFirst
      ? try TensorBoardWriter(folder: folder.tensorBoard.path, resumingAfter: resumed) : nil

    self.setup = setup
    self.peak = peak
    self.facts = facts
    self.foreseen = foreseen
    self.metrics = metrics
    self.events = events
    self.progress = progress
    self.noiseScale = noiseScale
    flopsPerToken = ModelFLOPs(setup.model, sequenceLength: setup.settings.sequenceLength).perToken(.causal)
    tokensSeen = setup.tokensSeen
    lossScale = setup.lossScale
  }

  /// Runs all steps that are left, then validates, saves, writes a sample and the report.
  package consuming func run() throws -> Summary {
    StopRequest.listen()
    let watch = Stopwatch()
    let loop = StepLoop(
      setup.executor, batches: BatchSchedule(training), samplesPerMicrobatch: training.microBatchSize,
      optimizer: setup.settings.optimizer, dropoutSeed: UInt64(bitPattern: Int64(training.seed)),
      measuresNoise: true, world: setup.place.world)
    let rate = LearningRate(training)
    var (loss, speed, step) = (Double.nan, Throughput(), setup.firstStep)
    var validation: Validation.Result?
    // With several ranks all must stop after the same step: each step says whether any was asked to.
    var isStopRequested = setup.place.isAlone && StopRequest.isPending
    while step < training.steps, !isStopRequested {
      step += 1
      let outcome: StepOutcome
      do {
        outcome = try loop.run(
          step: step, learningRate: rate.value(step: step), scale: lossScale, setup.dataset)
      } catch {
        // Nothing was updated: what the steps before gave is saved.
        progress.finish()
        // What only this rank has met leaves the others in the middle of the step: then nothing can be saved.
        let isEverybodys = setup.place.isAlone || error is NonFiniteStep
        if isEverybodys {
          try finish(step: step - 1, status: "stopped: \(error)", saves: step - 1 > setup.firstStep)
        }
        throw error
      }
      isStopRequested = outcome.isStopRequested || (setup.place.isAlone && StopRequest.isPending)
      tokensSeen += outcome.tokens
      if let noise = outcome.noise { noiseScale.add(noise) }
      let scaleOfStep = lossScale?.value
      lossScale?.record(outcome)
      speed.add(tokens: outcome.tokens, seconds: outcome.seconds)
      // Steps of a ramp are others than the one that is foreseen.
      if loop.batches.microbatches(ofStep: step) == training.gradientAccumulation {
        stepTimes.add(outcome.seconds)
        communication = outcome.communicationRecords ?? []
      }
      loss = outcome.loss
      let isLast = step == training.steps
      validation = nil
      if isLast || (training.validateEvery > 0 && step.isMultiple(of: training.validateEvery)) {
        validation = try validate(isLast: isLast)
      }
      do { try log(step, outcome, rate.value(step: step), scaleOfStep, validation, speed) } catch {
        // The steps so far are worth more than their record.
        if setup.place.isAlone { try? save(step) }
        throw error
      }
      try probe?.follow(step: step)
      if configuration.checkpoint.every > 0, step.isMultiple(of: configuration.checkpoint.every), !isLast {
        try save(step)
      }
    }
    let wasStopped = step < training.steps
    if wasStopped { note("stopped by a signal after step \(step)") }
    let status = wasStopped ? "stopped by a signal after step \(step)" : "finished"
    let comparison = StepComparison(foreseen: foreseen, measured: measuredStep)
    facts.step = comparison
    if setup.place.isFirst { try setup.folder.rewrite(step: comparison) }
    let (folder, peak, flopsPerToken) = (setup.folder.url.path, peak, flopsPerToken)
    try finish(step: step, status: status, saves: wasStopped || configuration.checkpoint.atEnd)
    return Summary(
      steps: step, loss: loss, validationLoss: validation?.loss,
      validationBitsPerByte: validation?.bitsPerByte, tokensPerSecond: speed.value,
      shareOfPeak: speed.value * flopsPerToken / peak, seconds: watch.seconds, folder: folder,
      wasStopped: wasStopped, step: comparison)
  }

  /// Nil before the first step.
  private var measuredStep: StepMeasurement? {
    stepTimes.median.map {
      StepMeasurement(
        stepSeconds: $0, arenaBytes: setup.executor.arenaHighWater,
        residentBytes: ProcessMemory.peakResidentBytes,
        sentBytes: Dictionary(uniqueKeysWithValues: communication.map { ($0.axis, $0.bytes) }),
        slowness: probe?.slowness)
    }
  }

  /// Shows a line, on the first rank.
  private mutating func note(_ line: String) {
    if setup.place.isFirst { progress.note(line) }
  }

  private func validate(isLast: Bool) throws -> Validation.Result? {
    try setup.data.validation.map {
      try Validation.run(
        $0, on: setup.executor, sequenceLength: training.sequenceLength,
        vocabularySize: setup.model.vocabularySize,
        limit: isLast || training.validationTokens == 0 ? nil : training.validationTokens,
        world: setup.place.world)
    }
  }

  private mutating func log(
    _ step: Int, _ outcome: StepOutcome, _ rate: Double, _ scale: Double?,
    _ validation: Validation.Result?, _ speed: Throughput
  ) throws {
    guard setup.place.isFirst else { return }
    let tokensPerSecond = Double(outcome.tokens) / outcome.seconds
    let record = StepRecord(
      step: step, loss: outcome.loss, gradientNorm: outcome.gradientNorm, learningRate: rate,
      tokensPerSecond: tokensPerSecond,
      tokensPerSecondPerRank: tokensPerSecond / Double(setup.place.world.size),
      stepSeconds: outcome.seconds,
      forwardSeconds: outcome.forwardSeconds, backwardSeconds: outcome.backwardSeconds,
      optimizerSeconds: outcome.optimizerSeconds, dataWaitSeconds: outcome.dataSeconds,
      modelFLOPsUtilization: tokensPerSecond * flopsPerToken / peak,
      peakMemoryBytes: ProcessMemory.peakResidentBytes, tokensSeen: tokensSeen,
      secondsLeft: Double(training.tokens - training.tokens(throughStep: step)) / speed.value,
      validationLoss: validation?.loss, validationBitsPerByte: validation?.bitsPerByte, lossScale: scale,
      skippedSteps: lossScale?.skippedSteps, gradientSignal: outcome.noise?.signal,
      gradientNoise: outcome.noise?.noise, noiseScaleTokens: outcome.noise.flatMap { _ in noiseScale.tokens },
      communication: outcome.communicationRecords)
    try metrics?.append(record)
    try events?.append(record)
    progress.show(record)
  }

  private mutating func save(_ step: Int) throws {
    let watch = Stopwatch()
    let state = CheckpointState(
      step: step, tokensSeen: tokensSeen, model: setup.model, seed: training.seed,
      configurationYAML: configuration.resolvedYAML,
      tokenizerFingerprint: setup.data.tokenizer?.fingerprint ?? "", lossScale: lossScale)
    try SharedCheckpoint(store: setup.store, place: setup.place).save(
      step: step, pieces: WeightExchange(setup.executor).checkpointPieces(moments: true), state: state)
    note("checkpoint: step \(step) saved in \(watch.seconds.formatted(decimals: 2)) s")
  }

  /// Last checkpoint, sample and report.
  private consuming func finish(step: Int, status: String, saves: Bool) throws {
    if saves { try save(step) }
    let place = setup.place
    let sample = try configuration.output.samplePrompt.flatMap { try RunSample($0, setup) }
    _ = try place.firstAlone("writing sample and report") { try conclude(status, sample) }
    if place.isFirst { progress.finish() }
  }

  /// Sample and report, on the first rank.
  private mutating func conclude(_ status: String, _ sample: RunSample?) throws {
    var samples: [RunReport.Sample] = []
    if let sample {
      let text = sample.write(count: configuration.output.sampleTokens)
      try setup.folder.write(text.prompt + text.continuation + "\n", to: setup.folder.sample)
      samples.append(text)
    }
    guard configuration.output.report else { return }
    let records = try MetricsFile.read(path: setup.folder.metrics.path)
    let charts = try? ChartLibrary.find()
    let page = HTMLReport(
      RunPage.report(setup, facts, status: status, samples: samples), records: records, charts: charts)
    try page.write(to: setup.folder.report.path)
    note("report: \(setup.folder.report.path)")
  }
}

/// Tokens a second over the steps so far without the first, which warms up.
struct Throughput {
  private var (tokens, seconds) = (0, 0.0)
  private var first: Double?

  mutating func add(tokens: Int, seconds: Double) {
    guard first != nil else {
      first = Double(tokens) / seconds
      return
    }
    self.tokens += tokens
    self.seconds += seconds
  }

  var value: Double { seconds > 0 ? Double(tokens) / seconds : first ?? .nan }
}
