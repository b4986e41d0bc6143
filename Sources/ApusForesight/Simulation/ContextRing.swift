import ApusCore

/// Keys and values that go round the ranks of the context axis while attention computes (Liu et al. 2023, "Ring
/// Attention"; domain reference S20).
///
/// Each of the c ranks holds one part of every sequence. Attention runs in c blocks; during all but the last, the
/// keys and values of the next block come from the neighbour. What a block's transfer takes longer than its
/// computation is waited for. Backward passes the gradients of keys and values on too: twice the bytes.
struct ContextRing {
  private let steps: Int
  /// Seconds of one block's keys and values to the neighbour.
  private let transfer: Double

  init(_ job: TrainingJob, _ cluster: Cluster) {
    steps = job.layout.context
    let width = Double(job.model.heads.keyWidth) / Double(job.layout.tensor)
    let bytes = 2 * Double(job.localTokens) * width * job.numbers.activationBytes
    transfer = cluster.collectives.sendSeconds(
      bytes: bytes, crossesNodes: cluster.placement(.context).nodes > 1)
  }

  /// Seconds of a layer and micro-batch that `attention` seconds of computation do not hide.
  func exposedSeconds(attention: Double, backward: Bool) -> Double {
    guard steps > 1 else { return 0 }
    return Double(steps - 1) * max(0, (backward ? 2 : 1) * transfer - attention / Double(steps))
  }
}
