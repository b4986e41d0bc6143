/// The interleaved schedule: chunk c of device d is stage `c * devices + d` (Narayanan et al. 2021).
///
/// The micro-batches are dealt into groups; a device takes a whole group through one chunk before it takes it
/// through the next. Groups of as many as devices are depth first, one group of all is breadth first, and what
/// lies between trades memory against messages that can be hidden (Llama Team 2024, figure 6).
struct InterleavedOrder {
  let devices, microbatches, chunks: Int
  private let groups: [Range<Int>]

  /// - Parameter group: the smallest number of micro-batches of a group; what does not divide is spread evenly,
  ///   because a last group smaller than the pipeline would dry it out.
  init(devices: Int, microbatches: Int, chunks: Int, group: Int?) {
    self.devices = devices
    self.microbatches = microbatches
    self.chunks = chunks
    let size = group ?? min(devices, microbatches)
    let count = max(1, microbatches / size)
    groups = (0..<count).map { microbatches * $0 / count..<microbatches * ($0 + 1) / count }
  }

  func actions(device: Int) -> [PipelineAction] {
    var forwards: [PipelineAction] = []
    var backwards: [PipelineAction] = []
    for group in groups {
      for chunk in 0..<chunks {
        for microbatch in group {
          forwards.append(PipelineAction(.forward, microbatch, chunk: chunk))
          backwards.append(PipelineAction(.backward, microbatch, chunk: chunks - 1 - chunk))
        }
      }
    }
    let longest = groups.map(\.count).max() ?? 0
    // With one chunk this is 1F1B. Otherwise a group must be through all chunks but one, and two passes a stage
    // that follows lie between a forward and its backward.
    let warmUp = chunks == 1 ? devices - device - 1 : 2 * (devices - device - 1) + (chunks - 1) * longest
    return PipelineSchedule.alternating(forwards: forwards, backwards: backwards, warmUp: warmUp)
  }
}
