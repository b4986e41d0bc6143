/// The constants of the cost model: few, physical, documented, fitted on part of the published runs
/// (`docs/foresight.md` states the split and the errors). A file may override any of them by name.
package struct CostConstants: Hashable, Sendable, Codable {
  // MARK: Matrix products

  /// Inner dimension at which a product's main loop reaches half its speed: prologue and epilogue.
  package var innerHalf: Double = 142
  /// Speed of a fp8 product beside the ratio of the peaks: scaling and casts apart.
  package var fp8Efficiency: Double = 0.9
  /// Speed of products in which heads are batched, as in unfused attention.
  package var batchedProduct: Double = 0.887

  // MARK: Attention, share of peak that tiled kernels reach (forward; causal FLOPs)

  /// Tiled attention of the first, second and third generation on Ampere and on Hopper and later.
  package var flash1Ampere: Double = 0.373
  package var flash2Ampere: Double = 0.634
  package var flash1Hopper: Double = 0.206
  package var flash2Hopper: Double = 0.42
  package var flash3Hopper: Double = 0.52
  /// How the speed of attention falls with heads smaller than 128: (size / 128) to this power.
  package var headExponent: Double = 0.155
  /// Backward against forward, a FLOP.
  package var flashBackward: Double = 0.823

  // MARK: Memory

  /// Share of the memory bandwidth that streaming kernels reach.
  package var memoryEfficiency: Double = 0.8
  /// Passes over an element-wise operation's operands where a framework runs it in pieces.
  package var frameworkPasses: Double = 1.7
  /// The same where kernels are fused by hand.
  package var fusedPasses: Double = 1.66
  /// Bytes an attention score crosses memory in unfused attention, forward and backward.
  package var scoreBytesForward: Double = 10.7
  package var scoreBytesBackward: Double = 13.4
  /// Bytes that the loss moves a logit, forward and backward, beside the products: fused kernels.
  package var logitBytes: Double = 29.6
  /// The same where a framework computes the loss in float32 pieces.
  package var logitBytesEager: Double = 63.6
  /// Bytes that a sharding framework moves a parameter and micro-batch: copies into and out of flat buffers,
  /// casts, sums.
  package var shardingBytes: Double = 57.8
  /// The same for sums of gradients into float32 by separate kernels.
  package var accumulationBytes: Double = 8.94
  /// The same under a pipeline engine that also checks and copies each sum.
  package var engineBytes: Double = 50.3

  // MARK: Host

  /// Host seconds an instruction of a layer in frameworks that dispatch operations one by one.
  package var hostEager: Double = 2.5e-5
  /// The same where a trainer fuses by hand.
  package var hostMegatron: Double = 1.5e-5
  /// The same under a tensor-parallel layer written in the framework's language.
  package var hostTensorParallel: Double = 0.000163

  // MARK: Communication

  /// Seconds until a collective's first byte moves.
  package var collectiveStart: Double = 1e-5
  /// Factor on the links' latencies.
  package var collectiveLatency: Double = 1.25
  /// Share of the links' bandwidth that rings reach, inside a node and between nodes.
  package var nodeLinkEfficiency: Double = 0.66
  package var networkEfficiency: Double = 0.793
  /// Slow-down of whichever of compute and communication runs beside the other.
  package var contention: Double = 1.44
  /// Share of data-parallel communication that can hide behind backward.
  package var dataOverlap: Double = 0.183
  /// Share of tensor-parallel communication that products hide in stacks that overlap it.
  package var tensorOverlap: Double = 0.1
  /// Host seconds that a tensor-parallel collective takes for each peer while a pipeline crosses nodes, where
  /// the framework's own language drives both: seen in one published campaign (docs/foresight.md).
  package var hostPeer: Double = 0.000264
  /// Share of a pipeline message that a blocking stage waits for.
  package var pipelineExposure: Double = 0.444

  // MARK: Optimizer and step

  /// Times that the update moves the bytes that it must.
  package var optimizerPasses: Double = 1.5
  /// Seconds of a step that nothing else explains: data, logging, synchronising the host.
  package var stepSeconds: Double = 0.0259

  // MARK: Memory model

  /// Reserved beyond allocated by a caching allocator.
  package var fragmentation: Double = 1.03
  /// Bytes a logit that are alive at once in the loss, in place and in float32 pieces.
  package var logitMemory: Double = 8
  package var logitMemoryEager: Double = 11
  /// Bytes a parameter of gradients before they are summed.
  package var gradientCopy: Double = 2.1

  /// How far the foreseen memory may be from the real one: its median error on published runs.
  package var memoryUncertainty: Double = 0.07
  /// What a step loses on average where a caching allocator fills the device: it gives back what it holds, waits
  /// for the device and asks again.
  package var allocatorRetry: Double = 0.1

  package init() {}

  /// Number of fitted constants.
  package static var count: Int { CostConstants().values.count }

  /// Constants by name.
  package var values: [(name: String, value: Double)] {
    Mirror(reflecting: self).children.compactMap { child in
      guard let name = child.label, let value = child.value as? Double else { return nil }
      return (name, value)
    }
  }
}
