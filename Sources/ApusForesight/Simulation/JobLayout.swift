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
  package var schedule: JobSchedule
  /// Stages that a rank holds.
  package var stagesPerRank: Int
  package var microBatchSize: Int
  /// Micro-batches of a replica in a step.
  package var microbatches: Int

  package init(
    _ layout: ParallelLayout, schedule: JobSchedule = .oneForwardOneBackward, stagesPerRank: Int = 1,
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
    self.stagesPerRank = stagesPerRank
    self.microBatchSize = microBatchSize
    self.microbatches = microbatches
  }

  package var worldSize: Int { data * tensor * context * pipeline }
}

/// How a pipeline's stages order their micro-batches.
package enum JobSchedule: String, Hashable, Sendable, CaseIterable {
  case naive
  case allForwardAllBackward
  case oneForwardOneBackward
  case interleaved
  case zeroBubbleH1, zeroBubbleH2
  case dualPipe
}
