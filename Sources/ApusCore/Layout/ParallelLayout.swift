/// How training is divided over ranks: a degree for each axis of parallelism, and what is done along it.
///
/// The world size is the product of the degrees; experts fold into the data axis. Ranks are numbered with the
/// axes innermost first: tensor, context, pipeline, data (domain reference B6).
public struct ParallelLayout: Hashable, Sendable, Codable {
  /// Replicas that each take their own samples.
  public var data: Int
  /// Ranks that share each layer's matrices and heads.
  public var tensor: Int
  /// Ranks that share each sequence.
  public var context: Int
  /// Stages that share the layers.
  public var pipeline: Int
  /// Ranks that share the experts; divides the data axis.
  public var expert: Int
  /// What is sharded over the data axis (Rajbhandari et al. 2020): 0 nothing, 1 optimizer states, 2 gradients
  /// too, 3 parameters too.
  public var zeroStage: Int
  /// Ranks of the data axis that share one copy of what is sharded; nil = all of them.
  public var shardDegree: Int?
  /// Whether norms and residuals work on sequence shards over the tensor axis (Korthikanti et al. 2022).
  public var sequenceParallel: Bool

  public init(
    data: Int = 1, tensor: Int = 1, context: Int = 1, pipeline: Int = 1, expert: Int = 1, zeroStage: Int = 0,
    shardDegree: Int? = nil, sequenceParallel: Bool = false
  ) {
    self.data = data
    self.tensor = tensor
    self.context = context
    self.pipeline = pipeline
    self.expert = expert
    self.zeroStage = zeroStage
    self.shardDegree = shardDegree
    self.sequenceParallel = sequenceParallel
  }

  /// Whether the gradient of a step's first micro-batch stands alone in the ranks' buffers, so that its norm can be
  /// measured: over the tensor axis terms are summed once a step, and groups that shard sum over their copies at the
  /// end.
  package var hasGradientOfFirstMicrobatch: Bool {
    worldSize == data && (zeroStage < 2 || shardDegree == nil)
  }

  /// Number of ranks.
  public var worldSize: Int { data * tensor * context * pipeline }
}
