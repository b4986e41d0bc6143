import ApusModels

/// Parameters of one rank before any sharding over the data axis.
struct LocalParameters {
  /// Of a layer on one rank, its experts included.
  let layer: Double
  /// Of the layer's experts on one rank; 0 without experts.
  let layerExperts: Double
  /// Of the token table (and learned positions) on one tensor rank.
  let embedding: Double
  /// Of the head where it is a matrix of its own, or a copy that a later stage keeps of a tied table.
  let head: Double
  let tied: Bool

  init(_ job: TrainingJob) {
    let count = ParameterCount(job.model)
    let t = Double(job.layout.tensor)
    let layers = Double(job.model.layerCount)
    let (attention, block) = (Double(count.attention) / layers, Double(count.feedForward) / layers)
    if let experts = job.experts {
      let local = Double(groups(of: job.layout.expert, in: experts.count))
      layerExperts = local * block / Double(job.layout.expertTensor)
      layer =
        (attention + experts.sharedShare * block) / t + Double(count.norms) / layers + job.routerParameters
        + layerExperts
    } else {
      layerExperts = 0
      layer = Double(count.attention + count.feedForward) / layers / t + Double(count.norms) / layers
    }
    embedding = Double(count.embedding + count.positions) / t
    tied = job.model.tiedEmbeddings
    head = Double(job.model.vocabularySize * job.model.hiddenSize) / t
  }

  /// Of a stage's experts alone.
  func experts(_ stage: StageContent) -> Double { Double(stage.layers) * layerExperts }

  func count(_ stage: StageContent) -> Double {
    var sum = Double(stage.layers) * layer
    if stage.hasEmbedding { sum += embedding }
    if stage.hasHead, !(tied && stage.hasEmbedding) { sum += head }
    return sum
  }
}
