import ApusCore
import ApusModels

/// What a plan is asked for: a model on a cluster, with a batch.
package struct PlanRequest: Sendable {
  package var model: ModelConfiguration
  package var hardware: HardwareDescription
  package var devices: Int
  package var sequenceLength: Int
  package var globalBatchTokens: Int
  package var numbers: JobNumbers
  package var attention: AttentionKernel
  package var stack: SoftwareStack
  /// Share of the memory that must stay free.
  package var margin: Double
  /// Where the model's feed-forward blocks are experts.
  package var experts: ExpertShape?

  package init(
    model: ModelConfiguration, hardware: HardwareDescription, devices: Int, sequenceLength: Int,
    globalBatchTokens: Int, numbers: JobNumbers = JobNumbers(), attention: AttentionKernel = .flash2,
    stack: SoftwareStack = .apus, margin: Double = 0, experts: ExpertShape? = nil
  ) {
    self.experts = experts
    self.model = model
    self.hardware = hardware
    self.devices = devices
    self.sequenceLength = sequenceLength
    self.globalBatchTokens = globalBatchTokens
    self.numbers = numbers
    self.attention = attention
    self.stack = stack
    self.margin = margin
  }

  package var samples: Int { globalBatchTokens / sequenceLength }
  /// All parameters, experts included.
  package var parameterCount: Int {
    TrainingJob(
      model: model, layout: JobLayout(ParallelLayout(), microBatchSize: 1, microbatches: 1),
      sequenceLength: sequenceLength, hardware: hardware, experts: experts
    ).parameterCount
  }
  /// Bytes that a job may take.
  package var usableBytes: Double { hardware.memoryBytes * (1 - margin) }

  /// A point of the search.
  package struct Choice: Hashable, Sendable {
    package var data, tensor, context, pipeline: Int
    package var schedule: PipelineSchedule
    package var zeroStage: Int
    /// Ranks that share what is sharded; all of the data axis, or those of a few nodes (hybrid shards).
    package var shardDegree: Int
    package var recomputation: JobRecomputation
    package var microBatch: Int
    /// Ranks of the data axis that share the experts.
    package var expert: Int

    package init(
      data: Int, tensor: Int, context: Int, pipeline: Int, schedule: PipelineSchedule, zeroStage: Int,
      shardDegree: Int, recomputation: JobRecomputation, microBatch: Int, expert: Int = 1
    ) {
      self.expert = expert
      self.data = data
      self.tensor = tensor
      self.context = context
      self.pipeline = pipeline
      self.schedule = schedule
      self.zeroStage = zeroStage
      self.shardDegree = shardDegree
      self.recomputation = recomputation
      self.microBatch = microBatch
    }

    /// Axes with a degree above 1, and what is sharded.
    package var family: String {
      var axes: [String] = []
      if data > 1 { axes.append(zeroStage > 0 ? "ZeRO-\(zeroStage)" : "data") }
      if tensor > 1 { axes.append("tensor") }
      if context > 1 { axes.append("context") }
      if expert > 1 { axes.append("expert") }
      if pipeline > 1 { axes.append("pipeline") }
      return axes.isEmpty ? "one device" : axes.joined(separator: " + ")
    }
  }

  package func job(_ choice: Choice) -> TrainingJob {
    let layout = JobLayout(
      ParallelLayout(
        data: choice.data, tensor: choice.tensor, context: choice.context, pipeline: choice.pipeline,
        expert: choice.expert, zeroStage: choice.zeroStage, shardDegree: choice.shardDegree,
        sequenceParallel: choice.tensor > 1),
      schedule: choice.schedule, microBatchSize: choice.microBatch,
      microbatches: samples / (choice.data * choice.microBatch))
    return TrainingJob(
      model: model, layout: layout, sequenceLength: sequenceLength, numbers: numbers,
      recomputation: choice.recomputation, attention: attention, stack: stack, hardware: hardware,
      experts: experts)
  }
}
