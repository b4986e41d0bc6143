/// What differs between trainers on the same hardware: which operations they fuse, what their host costs,
/// what they overlap, how they place ranks and stages. Chosen from a row's own words (`RowStack`).
package struct SoftwareStack: Hashable, Sendable {
  package enum Name: String, Hashable, Sendable, CaseIterable {
    /// Apus' own program: fused kernels, a host that records once.
    case apus
    /// Framework operations one by one, sharded by the framework (2022 to 2023).
    case eager
    /// The same, compiled: element-wise operations are fused (2024).
    case compiled
    /// Fused kernels written by hand, tensor and pipeline parallel.
    case megatron
    /// Hand-fused kernels under a pipeline engine of 2021 to 2022.
    case deepspeed
    /// Framework operations with tensor and pipeline parallelism in the same language as the model.
    case nanotron
  }

  package var name: Name
  package var order: RankOrder
  package var partition: StagePartition

  /// Whether unsharded gradients are reduced while backward still runs, and sharded ones too.
  package var overlapsGradients: Bool
  package var overlapsShardedGradients: Bool

  /// - Parameter overlapsGradients: where nil, what the stack does as a rule.
  package init(_ name: Name, overlapsGradients: Bool? = nil) {
    self.name = name
    switch name {
    case .apus, .eager, .compiled: (self.overlapsGradients, overlapsShardedGradients) = (true, true)
    case .nanotron: (self.overlapsGradients, overlapsShardedGradients) = (true, false)
    case .megatron, .deepspeed: (self.overlapsGradients, overlapsShardedGradients) = (false, false)
    }
    if let overlapsGradients {
      (self.overlapsGradients, overlapsShardedGradients) = (overlapsGradients, overlapsGradients)
    }
    order = name == .apus ? .dataOutermost : .pipelineOutermost
    partition = name == .nanotron ? .byCost : .even
  }

  /// Whether gates and rotations are single kernels that keep nothing between their parts.
  package var fusesPieces: Bool {
    switch name {
    case .apus, .megatron, .compiled: true
    case .eager, .deepspeed, .nanotron: false
    }
  }

  /// Whether the gathered inputs of sequence-parallel layers stay for backward: where products overlap with
  /// the gathers, which this stack does without a pipeline alone.
  package func keepsGathered(_ layout: JobLayout) -> Bool {
    name == .nanotron && layout.sequenceParallel && layout.pipeline == 1
  }

  package static let apus = SoftwareStack(.apus)
}

/// How layers are shared out to stages.
package enum StagePartition: String, Hashable, Sendable {
  /// As many layers to each stage; embedding and head come on top of the first and last.
  case even
  /// A stage is full when the FLOPs so far exceed its share; the head counts as a block of its own.
  case byCost
}
