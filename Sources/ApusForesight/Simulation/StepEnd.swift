import ApusCore

/// What follows a device's last backward pass: the rest of the gradients' sum over replicas, and the update.
struct StepEnd {
  let work: StageWork

  private var job: TrainingJob { work.job }
  private var constants: CostConstants { work.constants }

  /// Seconds until the gradients of a device's `count` parameters are summed, `experts` of them over the fewer
  /// replicas of experts, after a last backward pass of `backward` seconds behind which part of the sum hid.
  func gradientSeconds(count: Double, experts: Double, layers: Int, backward: Double) -> Double {
    let (layout, numbers) = (job.layout, job.numbers)
    guard layout.data * layout.context > 1, layout.zeroStage < 3 else { return 0 }
    func sum(_ kind: CollectiveKind, _ width: Double) -> Double {
      work.cluster.replicaSeconds(kind, count, experts: experts, width: width)
    }
    let time: Double
    let overlaps: Bool
    if layout.zeroStage == 0 {
      time = sum(.allReduce, numbers.gradientWireBytes)
      overlaps = job.stack.overlapsGradients
    } else {
      time = sum(.reduceScatter, numbers.gradientWireBytes) + sum(.allGather, numbers.parameterWireBytes)
      overlaps = job.stack.overlapsShardedGradients
    }
    guard overlaps else { return time }
    // The bucket of the first layers is complete only when backward ends.
    return max(time - constants.dataOverlap * backward, time / Double(max(1, layers)))
  }

  /// Seconds of the update: gradient and states read, states and weights written.
  func optimizerSeconds(count: Double, experts: Double) -> Double {
    let layout = job.layout
    let share =
      layout.zeroStage >= 1 ? (count - experts) / layout.shards + experts / layout.expertShards : count
    let numbers = job.numbers
    let bytes = numbers.gradientBytes + 2 * numbers.optimizerBytes + numbers.weightBytes
    return constants.optimizerPasses * share * bytes
      / (job.hardware.memoryBandwidth * constants.memoryEfficiency)
  }
}
