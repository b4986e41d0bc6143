/// The two handcrafted schedules of Qi et al. 2023, "Zero Bubble Pipeline Parallelism", section 2.
///
/// Both alternate forward F and input-gradient I after a warm-up and put each weight-gradient W where nobody
/// waits. A W stays behind its I by `lag` micro-batches: late stages, which start late, keep theirs for the end,
/// so that the inputs' gradients leave early.
///
/// H1 warms up as 1F1B does and holds no more than `devices` micro-batches. H2 warms up with 2 (devices - d) - 1,
/// so that no device ever waits after its first action, provided there are at least 2 devices - 1 micro-batches;
/// that needs an optimizer step which does not wait for all stages at one moment.
struct ZeroBubbleOrder {
  let devices, microbatches: Int
  let isSecond: Bool

  func actions(device: Int) -> [PipelineAction] {
    let warmUp = isSecond ? 2 * (devices - device) - 1 : devices - device
    let lag = isSecond ? 2 * device : device
    var order: [PipelineAction] = []
    order.reserveCapacity(3 * microbatches)
    var nextForward = min(microbatches, warmUp)
    var nextWeight = 0
    for microbatch in 0..<nextForward { order.append(PipelineAction(.forward, microbatch)) }
    for microbatch in 0..<microbatches {
      order.append(PipelineAction(.backwardInput, microbatch))
      if microbatch - nextWeight >= lag {
        order.append(PipelineAction(.backwardWeight, nextWeight))
        nextWeight += 1
      }
      if nextForward < microbatches {
        order.append(PipelineAction(.forward, nextForward))
        nextForward += 1
      }
    }
    for microbatch in nextWeight..<microbatches { order.append(PipelineAction(.backwardWeight, microbatch)) }
    return order
  }
}
