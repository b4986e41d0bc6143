import ApusCheckpoint
import ApusCommunication
import ApusConfiguration
import ApusCore
import ApusData
import ApusForesight
import ApusModels
import ApusProgram
import ApusRuntime
import Foundation

/// Everything a rank needs before a run's first step: data, program, plan, mapped arena, weights. The first rank
/// claims the folder and prepares the data; the others then open what it has made.
struct TrainingSetup {
  let configuration: Configuration
  let folder: RunFolder
  let data: RunData
  let model: ModelConfiguration
  let settings: TrainingProgramSettings
  let executor: Executor
  let dataset: TokenDataset
  let store: CheckpointStore
  private let claim: RunClaim?
  let place: RankPlace
  let threads: Int
  /// The last step of the checkpoint that the run goes on from; 0 for a new run.
  let firstStep: Int
  let tokensSeen: Int
  /// The scale of the loss that the run goes on with; nil where the loss is not scaled.
  let lossScale: LossScale?

  /// - Parameter note: told what is done, line by line.
  init(
    _ configuration: Configuration, _ start: RunFolder.Start, _ place: RankPlace, note: (String) -> Void
  ) throws {
    self.place = place
    let training = configuration.training
    folder = RunFolder(URL(fileURLWithPath: configuration.output.folder))
    threads = place.threads(asked: training.threads)
    store = CheckpointStore(folder: folder.checkpoints, keep: configuration.checkpoint.keep)
    // Whatever can be told without touching the run folder is told first: an old run is not lost to a typo.
    let sources = try RunSources(configuration.data)
    let from = try configuration.model.from.map { try ModelFolder($0, warn: note) }
    guard var model = from?.configuration ?? configuration.model.shape else {
      throw TrainingError.data("model: give a preset, a shape or a folder to start from")
    }
    let fixedVocabulary = model.vocabularySize > 0 ? model.vocabularySize : nil
    if fixedVocabulary == nil { model.vocabularySize = configuration.data.tokenizerVocabularySize }
    try configuration.check(shape: model, tokenizerVocabularySize: 0)
    let catalogue = CPUCatalogue(threads: threads)
    try Executor.checkFit(
      .training(model, configuration.programSettings(for: model, workspace: catalogue.workspace)),
      threads: threads, ranksOnMachine: place.ranksOnMachine)

    if let from = configuration.model.from, start == .overwrite, folder.contains(from) {
      throw TrainingError.runFolder(
        path: folder.url.path, problem: "holds the model to start from; give another output.folder")
    }
    let (folder, store, threads) = (folder, store, threads)
    func openData(reusing: Bool) throws -> RunData {
      try RunData(
        configuration.data, sources, folder: folder, folderTokenizer: from?.tokenizer,
        modelVocabulary: fixedVocabulary, threads: threads, reusing: reusing, note: note)
    }
    let prepared = try place.firstAlone("preparing the run folder and its data") {
      let claim = try folder.prepare(start)
      for message in try store.prepare() { note("checkpoints: \(message)") }
      return (claim: claim, data: try openData(reusing: start == .resume))
    }
    claim = prepared?.claim
    try RankAgreement.checkFolder(folder, claim, place.world)
    data = try prepared?.data ?? openData(reusing: true)
    try RankAgreement.checkSame(
      data.fingerprint, "reads other data", "give all ranks the same files", place.world)
    model.vocabularySize = data.vocabularySize
    self.model = model
    try configuration.check(
      shape: model, tokenizerVocabularySize: data.tokenizer?.vocabularySize ?? data.vocabularySize)
    var resolved = configuration
    if resolved.model.shape != nil { resolved.model.shape = model }
    self.configuration = resolved

    dataset = try TokenDataset(
      files: data.trainingFiles,
      weights: data.weights.count > 1 ? data.weights : nil,
      sequenceLength: training.sequenceLength, vocabularySize: model.vocabularySize,
      seed: UInt64(bitPattern: Int64(configuration.data.seed)), shuffle: configuration.data.shuffle)
    // A memory budget is kept for the final vocabulary.
    settings = try configuration.programSettings(for: model, workspace: catalogue.workspace)
    let program = StepProgram.training(model, settings)
    executor = try Executor(program, threads: threads, ranks: place.groups(program.mesh))
    note(Self.planLine(program, executor.plan))
    if !place.isAlone { note(Self.ranksLine(configuration.layout, threads)) }
    executor.markEnd()
    executor.initializeParameters(seed: UInt64(bitPattern: Int64(training.seed)))
    try executor.gatherWeights()

    guard start == .resume else {
      if let from {
        try WeightExchange(executor).read(from: from.source)
        try executor.gatherWeights()
        note("weights: from \(from.description)")
      }
      (firstStep, tokensSeen) = (0, 0)
      lossScale = settings.precision.scalesLoss ? LossScale() : nil
      return
    }
    let checkpoint = try Self.latest(store, folder, place, note: note)
    let state = try checkpoint.state(as: CheckpointState.self)
    guard state.model == model else {
      throw TrainingError.runFolder(
        path: folder.url.path,
        problem: "the checkpoint of step \(state.step) is of another model; resume with the run's own "
          + "configuration.yaml")
    }
    guard state.step < training.steps else {
      throw TrainingError.runFolder(
        path: folder.url.path,
        problem: "the run has finished its \(state.step) steps; raise training.steps to go on")
    }
    if let fingerprint = data.tokenizer?.fingerprint, fingerprint != state.tokenizerFingerprint {
      throw TrainingError.runFolder(
        path: folder.url.path,
        problem:
          "tokenizer.json is not the one that the checkpoint of step \(state.step) was trained with; put it back"
      )
    }
    if state.configurationYAML != self.configuration.resolvedYAML {
      note("configuration: changed since the checkpoint was saved; the run goes on with the new one")
    }
    try WeightExchange(executor).read(from: checkpoint, moments: true)
    try executor.gatherWeights()
    (firstStep, tokensSeen) = (state.step, state.tokensSeen)
    lossScale = settings.precision.scalesLoss ? state.lossScale ?? LossScale() : nil
    note("resumed after step \(state.step)")
  }

  /// The newest checkpoint that is whole. The first rank looks for it and reads all of it; the others open the
  /// same.
  private static func latest(
    _ store: CheckpointStore, _ folder: RunFolder, _ place: RankPlace, note: (String) -> Void
  ) throws -> CheckpointReader {
    let found = try place.firstAlone("checking the checkpoints") {
      let (checkpoint, skipped) = try store.latest()
      for message in skipped { note("checkpoints: \(message)") }
      guard let checkpoint else {
        throw TrainingError.runFolder(
          path: folder.url.path,
          problem: "holds no complete checkpoint to resume from; start anew with --overwrite")
      }
      return checkpoint
    }
    let step = try place.world.control.broadcast([Int32(found?.step ?? 0)], label: "the checkpoint's step")
    return try found ?? CheckpointReader(opening: store.url(of: Int(step[0])), verifying: false)
  }

  private static func ranksLine(_ layout: LayoutSection, _ threads: Int) -> String {
    "ranks: \(layoutText(layout.ranks)), \(threads) thread\(threads == 1 ? "" : "s") each; memory is that of one "
      + "rank"
  }

  /// `data 2, ZeRO-3 x tensor 2 with sequence parallelism`.
  static func layoutText(_ ranks: ParallelLayout) -> String {
    let sharding = ranks.zeroStage > 0 ? ", ZeRO-\(ranks.zeroStage)" : ""
    let groups = ranks.shardDegree.map { " in groups of \($0)" } ?? ""
    let sequence = ranks.sequenceParallel ? " with sequence parallelism" : ""
    return "data \(ranks.data)\(sharding)\(groups) x tensor \(ranks.tensor)\(sequence)"
  }

  private static func planLine(_ program: StepProgram, _ plan: MemoryPlan) -> String {
    "plan: \(program.parameterCount.grouped) parameters, \(ByteCount(plan.totalBytes)) of memory "
      + "(\(ByteCount(plan.persistentBytes)) kept, \(ByteCount(plan.transientBytes)) for "
      + "\(program.accumulates ? "activations" : "activations, gradients") and workspace), "
      + "\((plan.waste * 100).formatted(decimals: 1)) % above the lower bound"
  }
}

extension TokenDataset: BatchSource {
  package func fill(
    inputs: UnsafeMutableBufferPointer<Int32>, targets: UnsafeMutableBufferPointer<Int32>, first: Int,
    count: Int
  ) throws {
    try fill(
      inputs: inputs.baseAddress!, targets: targets.baseAddress!, samples: first..<first + count)
  }
}
