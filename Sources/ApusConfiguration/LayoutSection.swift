public import ApusCore

/// Over how many ranks each axis of parallelism divides the work, what is sharded, and how ranks communicate.
///
/// The world size is the product of the degrees. Data and tensor parallelism run; layouts with other axes are
/// recorded and planned, and training refuses them.
public struct LayoutSection: Hashable, Sendable, Codable {
  /// Degrees and what is sharded along them.
  public var ranks: ParallelLayout
  /// When and in what portions ranks communicate.
  public var communication: CommunicationPolicy
  /// Seconds for which ranks wait for one that does not come, before the run ends.
  public var stallLimit: Int

  public init(
    ranks: ParallelLayout = ParallelLayout(), communication: CommunicationPolicy = CommunicationPolicy(),
    stallLimit: Int = 60
  ) {
    self.ranks = ranks
    self.communication = communication
    self.stallLimit = stallLimit
  }

  init(reading reader: inout SectionReader) {
    let degrees = 1...1_048_576
    ranks = ParallelLayout(
      data: reader.integer("data", degrees, aliases: ["dp"]) ?? 1,
      tensor: reader.integer("tensor", degrees, aliases: ["tp"]) ?? 1,
      context: reader.integer("context", degrees, aliases: ["cp"]) ?? 1,
      pipeline: reader.integer("pipeline", degrees, aliases: ["pp"]) ?? 1,
      expert: reader.integer("expert", degrees, aliases: ["ep"]) ?? 1,
      zeroStage: reader.integer("zero_stage", 0...3, aliases: ["zero"]) ?? 0,
      shardDegree: reader.integer("shard_degree", degrees),
      sequenceParallel: reader.truth("sequence_parallel") ?? false)
    let standard = CommunicationPolicy()
    communication = CommunicationPolicy(
      gradients: reader.choice(
        "gradient_synchronisation", CommunicationPolicy.GradientSynchronisation.self) ?? standard.gradients,
      bucketByteCount: (reader.integer("bucket_mib", 1...1_024) ?? standard.bucketByteCount >> 20) << 20,
      prefetchedUnits: reader.integer("prefetched_units", 0...1_024) ?? standard.prefetchedUnits,
      keepsGatheredInputs: reader.truth("keep_gathered_inputs") ?? standard.keepsGatheredInputs)
    stallLimit = reader.integer("stall_limit_seconds", 1...86_400) ?? 60
    refuseWhatHasNoEffect(in: &reader)
  }

  /// The section as YAML shows it: of the options those that have an effect.
  var resolved: ResolvedValue {
    var entries = ResolvedEntries()
    entries.add("data", ranks.data)
    entries.add("tensor", ranks.tensor)
    entries.add("context", ranks.context)
    entries.add("pipeline", ranks.pipeline)
    entries.add("expert", ranks.expert)
    if ranks.data > 1 {
      entries.add("zero_stage", ranks.zeroStage)
      if ranks.zeroStage > 0, let degree = ranks.shardDegree { entries.add("shard_degree", degree) }
      entries.add("gradient_synchronisation", communication.gradients.rawValue)
      if mergesUnits { entries.add("bucket_mib", communication.bucketByteCount >> 20) }
      if prefetches { entries.add("prefetched_units", communication.prefetchedUnits) }
    }
    if ranks.tensor > 1 {
      entries.add("sequence_parallel", ranks.sequenceParallel)
      if ranks.sequenceParallel { entries.add("keep_gathered_inputs", communication.keepsGatheredInputs) }
    }
    if ranks.worldSize > 1 { entries.add("stall_limit_seconds", stallLimit) }
    return .mapping(entries)
  }

  /// Whether small units become one, up to the bucket's size.
  var mergesUnits: Bool { ranks.zeroStage < 3 && communication.gradients != .naive }

  /// Whether units or their gradients are under way ahead of, or behind, those in use.
  var prefetches: Bool { ranks.zeroStage >= 2 && communication.gradients == .overlapped }
}
