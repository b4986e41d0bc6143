import ApusCore

/// A layout with what foresight needs beside `ParallelLayout`: how the pipeline is run and how samples are
/// put into micro-batches.
package struct JobLayout: Hashable, Sendable {
  package var data: Int
  package var tensor: Int
  package var context: Int
  package var pipeline: Int
  package var expert: Int
  package var zeroStage: Int
  /// Ranks of the data axis that share one copy of what is sharded.
  package var shardDegree: Int
  package var sequenceParallel: Bool
  package var schedule: PipelineSchedule
  package var microBatchSize: Int
  /// Micro-batches of a replica in a step.
  package var microbatches: Int

  package init(
    _ layout: ParallelLayout, schedule: PipelineSchedule = .oneForwardOneBackward,
    microBatchSize: Int, microbatches: Int
  ) {
    data = layout.data
    tensor = layout.tensor
    context = layout.context
    pipeline = layout.pipeline
    expert = layout.expert
    zeroStage = layout.zeroStage
    shardDegree = layout.shardDegree ?? layout.data
    sequenceParallel = layout.sequenceParallel && layout.tensor > 1
    self.schedule = layout.pipeline > 1 ? schedule : .oneForwardOneBackward
    self.microBatchSize = microBatchSize
    self.microbatches = microbatches
  }

  package var worldSize: Int { data * tensor * context * pipeline }

  /// Ranks that divide one expert among them: the tensor ranks, or none where experts take their ranks from the
  /// tensor axis too because the data axis does not hold them.
  var expertTensor: Int { (data * context).isMultiple(of: expert) ? tensor : 1 }

  /// Ranks that hold the same expert.
  var expertReplicas: Int { max(1, data * context * tensor / (expert * expertTensor)) }

  /// Ranks over which the states of an expert are sharded, and of all else.
  var expertShards: Double { Double(max(1, min(shardDegree * context, expertReplicas))) }
  var shards: Double { Double(shardDegree * context) }
}
