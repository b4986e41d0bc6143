import ApusCore
import ApusModels
import ApusProgram

extension TrainingJob {
  /// The model as it is recorded: sizes that the tensor degree does not divide are padded, as trainers pad them.
  package var recordedModel: ModelConfiguration {
    let t = layout.tensor
    func padded(_ size: Int) -> Int { groups(of: t, in: size) * t }
    var model = model
    // Experts are priced from the dense program (`ExpertCost`).
    model.experts = nil
    model.headCount = padded(model.headCount)
    model.intermediateSize = padded(model.intermediateSize)
    // A published model with biases may share its keys and values; each tensor rank then computes its own copy.
    if model.family == .gpt2, model.keyValueHeadCount < t { model.keyValueHeadCount = t }
    let heads = model.keyValueHeadCount
    if !(heads.isMultiple(of: t) || t.isMultiple(of: heads)) || !model.headCount.isMultiple(of: heads) {
      model.keyValueHeadCount = model.headCount
    }
    model.maximumSequenceLength = max(model.maximumSequenceLength, recordedSequenceLength)
    return model
  }

  /// The sequence as it is recorded: a multiple of the pieces that context ranks take.
  private var recordedSequenceLength: Int {
    let pieces = layout.context > 1 ? 2 * layout.context : 1
    return max(1, groups(of: pieces, in: sequenceLength)) * pieces
  }

  /// What a program of ours computes again; frameworks' other choices are priced from the forward pass.
  private var recordedRecomputation: RecomputationSettings {
    switch recomputation {
    case .none, .everySecondProduct, .everySecondLayer: .none
    case .attention: .selective
    case .full: .full
    }
  }

  /// What a step of a rank is recorded from: what training records for a configuration of the same layout, as far as
  /// the job says it (a test compares).
  ///
  /// - Parameter device: of the pipeline.
  package func programSettings(device: Int = 0) -> TrainingProgramSettings {
    let rows = layout.microBatchSize * recordedSequenceLength / layout.context
    let ranks = ParallelLayout(
      data: layout.data, tensor: layout.tensor, context: layout.context, pipeline: layout.pipeline,
      zeroStage: layout.zeroStage,
      shardDegree: layout.zeroStage > 0 && layout.shardDegree != layout.data ? layout.shardDegree : nil,
      sequenceParallel: layout.sequenceParallel && rows.isMultiple(of: layout.tensor))
    var settings = TrainingProgramSettings(
      microBatchSize: layout.microBatchSize, sequenceLength: recordedSequenceLength,
      recomputation: recordedRecomputation, precision: numbers.policy, layout: ranks,
      communication: CommunicationPolicy(keepsGatheredInputs: stack.keepsGathered(layout)))
    settings.pipeline = PipelinePlace(
      device: device, chunks: layout.schedule.isBidirectional ? 1 : layout.schedule.chunks)
    settings.isFused = stack.name == .apus
    return settings
  }
}
