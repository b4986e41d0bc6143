import ApusCore

/// What follows a device's last backward pass: the rest of the gradients' sum over replicas, and the update.
struct StepEnd {
  let work: StageWork

  private var job: TrainingJob { work.job }
  private var constants: CostConstants { work.constants }

  /// Seconds until the gradients of a device's `count` parameters are summed, after a last backward pass of
  /// `backward` seconds behind which part of the sum hid.
  func gradientSeconds(count: Double, layers: Int, backward: Double) -> Double {
    let (layout, numbers) = (job.layout, job.numbers)
    guard layout.data * layout.context > 1, layout.zeroStage < 3 else { return 0 }
    let gradients = count * numbers.gradientWireBytes
    let time: Double
    let overlaps: Bool
    if layout.zeroStage == 0 {
      time = work.cluster.dataSeconds(.allReduce, gradients)
      overlaps = job.stack.overlapsGradients
    } else {
      time =
        work.cluster.dataSeconds(.reduceScatter, gradients)
        + work.cluster.dataSeconds(.allGather, count * numbers.parameterWireBytes)
      overlaps = job.stack.overlapsShardedGradients
    }
    guard overlaps else { return time }
    // The bucket of the first layers is complete only when backward ends.
    return max(time - constants.dataOverlap * backward, time / Double(max(1, layers)))
  }

  /// Seconds of the update: gradient and states read, states and weights written.
  func optimizerSeconds(count: Double) -> Double {
    let shards = job.layout.zeroStage >= 1 ? Double(job.layout.shardDegree * job.layout.context) : 1
    let numbers = job.numbers
    let bytes = numbers.gradientBytes + 2 * numbers.optimizerBytes + numbers.weightBytes
    return constants.optimizerPasses * count / shards * bytes
      / (job.hardware.memoryBandwidth * constants.memoryEfficiency)
  }
}
