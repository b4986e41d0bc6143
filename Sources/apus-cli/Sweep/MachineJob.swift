import ApusConfiguration
import ApusCore
import ApusForesight
import ApusModels
import ApusProgram
import ApusRuntime
import ApusTraining

/// A configuration as a job on this machine: its program, what defines it in a table, and what is foreseen for it.
struct MachineJob {
  let shape: ModelConfiguration
  let settings: TrainingProgramSettings
  let accumulation: Int
  let threads: Int
  private let layout: ParallelLayout
  private let title: String

  init(_ configuration: Configuration) throws {
    let training = configuration.training
    shape = try EstimatedJob.shape(configuration)
    try configuration.check(shape: shape, tokenizerVocabularySize: 0)
    layout = configuration.layout.ranks
    threads = RankPlace.threads(asked: training.threads, ranksOnMachine: layout.worldSize)
    accumulation = training.gradientAccumulation
    settings = try configuration.programSettings(
      for: shape, workspace: CPUCatalogue(threads: threads).workspace)
    title =
      "\(shape.family.rawValue) \((Double(ParameterCount(shape).total) / 1e6).formatted(decimals: 2))M"
  }

  /// Ranks of the run.
  var ranks: Int { layout.worldSize }

  var tokensOfStep: Int { settings.microBatchSize * accumulation * layout.data * settings.sequenceLength }

  /// The policy, or that layers differ.
  private var recomputation: String {
    if case .uniform(let policy) = settings.recomputation { policy.rawValue } else { "by layer" }
  }

  /// As columns of a sweep's table.
  var fields: [String: String] {
    [
      "gpu": "this-machine", "gpus": "\(ranks)", "gpus_per_node": "\(ranks)", "model_name": title,
      "params_b": (Double(ParameterCount(shape).total) / 1e9).formatted(decimals: 6),
      "hidden": "\(shape.hiddenSize)", "layers": "\(shape.layerCount)", "heads": "\(shape.headCount)",
      "kv_heads": "\(shape.keyValueHeadCount)", "ffn_hidden": "\(shape.intermediateSize)",
      "mlp": shape.family == .llama ? "swiglu" : "gelu", "vocab": "\(shape.vocabularySize)",
      "tied_embed": shape.tiedEmbeddings ? "1" : "0", "seq_len": "\(settings.sequenceLength)",
      "global_batch_seqs": "\(settings.microBatchSize * accumulation * layout.data)",
      "micro_batch": "\(settings.microBatchSize)", "grad_accum": "\(accumulation)", "dp": "\(layout.data)",
      "zero_stage": "\(layout.zeroStage)", "tp": "\(layout.tensor)",
      "sp": layout.sequenceParallel ? "1" : "0", "pp": "\(layout.pipeline)", "cp": "\(layout.context)",
      "ep": "\(layout.expert)",
      "recompute": recomputation, "precision": settings.precision.compute.rawValue,
      "flash_attention": "1", "stack": "apus",
    ]
  }

  /// What is foreseen of the run on this machine, and whether it fits into the memory that is free.
  ///
  /// - Parameter peak: FLOP/s that utilisation is measured against.
  func foresee(_ processor: MeasuredProcessor, peak: Double) -> (result: SweepRecord.Result?, fits: Bool) {
    let program = StepProgram.training(shape, settings)
    let plan = MemoryPlan(program, workspace: CPUCatalogue(threads: threads).workspace)
    let fits = plan.totalBytes <= AvailableMemory.byteCount() / ranks
    let foresight = StepForesight(
      program, plan,
      StepForesight.Step(microbatches: accumulation, threads: threads),
      at: MeshPosition(program.mesh, rank: 0), processor)
    let result = foresight.stepSeconds.map { seconds in
      self.result(
        seconds: seconds, arenaBytes: foresight.arenaBytes, sentBytes: foresight.sentBytes, peak: peak)
    }
    return (result, fits)
  }

  /// What steps of so many seconds come to.
  func result(
    seconds: Double, arenaBytes: Int, sentBytes: [String: Double], peak: Double
  ) -> SweepRecord.Result {
    let speed = Double(tokensOfStep) / seconds
    let flops = ModelFLOPs(shape, sequenceLength: settings.sequenceLength)
    return SweepRecord.Result(
      stepSeconds: seconds, tokensPerSecondPerDevice: speed / Double(ranks),
      utilization: flops.utilization(tokensPerSecond: speed, peakFLOPsPerSecond: peak),
      peakBytes: Double(arenaBytes), sentBytes: sentBytes)
  }
}
