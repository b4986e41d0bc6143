import ApusModels
import ApusProgram

/// What one pipeline stage holds.
package struct StageContent: Hashable, Sendable {
  package var layers: Int
  package var hasEmbedding: Bool
  package var hasHead: Bool
  /// The logits come from another stage: this one only computes the loss.
  package var receivesLogits = false
}

/// How a model's layers are shared out to the stages that a micro-batch passes.
package enum StagePlan {
  /// One entry a stage, in the order in which a micro-batch passes them; a stage may be empty when there are
  /// more stages than blocks.
  package static func stages(_ job: TrainingJob) -> [StageContent] {
    let layers = job.model.layerCount
    let devices = job.layout.pipeline
    guard devices > 1 else { return [StageContent(layers: layers, hasEmbedding: true, hasHead: true)] }
    let count = job.layout.schedule.stages(devices: devices)
    switch job.stack.partition {
    case .even:
      return PipelinePlace.even(layerCount: layers, stages: count).enumerated().map { stage, layers in
        StageContent(layers: layers, hasEmbedding: stage == 0, hasHead: stage == count - 1)
      }
    case .byCost: return byCost(job.model, count)
    }
  }

  /// Blocks go to a stage until the FLOPs so far exceed its share of the total; then the next stage begins.
  private static func byCost(_ model: ModelConfiguration, _ count: Int) -> [StageContent] {
    let parameters = ParameterCount(model)
    let layer = Double(parameters.attention + parameters.feedForward) / Double(model.layerCount)
    let head = Double(model.vocabularySize) * Double(model.hiddenSize)
    let total = layer * Double(model.layerCount) + head
    var stages = (0..<count).map { StageContent(layers: 0, hasEmbedding: $0 == 0, hasHead: false) }
    var (stage, sum) = (0, 0.0)
    for _ in 0..<model.layerCount {
      stages[stage].layers += 1
      sum += layer
      if sum > total * Double(stage + 1) / Double(count) { stage = min(stage + 1, count - 1) }
    }
    stages[stage].hasHead = true
    if stage < count - 1 { stages[count - 1].receivesLogits = true }
    return stages
  }
}
