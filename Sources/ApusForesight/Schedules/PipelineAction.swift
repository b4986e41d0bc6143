/// One thing that a device of a pipeline does for one micro-batch with one chunk of its layers.
package struct PipelineAction: Hashable, Sendable, CustomStringConvertible {
  /// What is computed.
  package enum Work: UInt8, Hashable, Sendable, CaseIterable {
    case forward
    /// Gradients of inputs and of weights.
    case backward
    /// Gradients of inputs alone: what the previous stage waits for (Qi et al. 2023).
    case backwardInput
    /// Gradients of weights: nobody waits for them before the optimizer.
    case backwardWeight

    /// As in the published figures: F, B, I, W.
    package var letter: String {
      switch self {
      case .forward: "F"
      case .backward: "B"
      case .backwardInput: "I"
      case .backwardWeight: "W"
      }
    }
  }

  package var work: Work
  /// Counted from 0 over the whole step.
  package var microbatch: Int
  /// Which of the device's chunks of layers, counted from 0.
  package var chunk: Int
  /// Whether this and the next action run as one, so that the transfers of one hide behind the other
  /// (DeepSeek-AI 2024, DualPipe): they start together, when both have their inputs, and end together.
  package var joinsNext: Bool

  package init(_ work: Work, _ microbatch: Int, chunk: Int = 0, joinsNext: Bool = false) {
    self.work = work
    self.microbatch = microbatch
    self.chunk = chunk
    self.joinsNext = joinsNext
  }

  package var description: String {
    "\(work.letter)\(microbatch)\(chunk == 0 ? "" : ".\(chunk)")\(joinsNext ? "+" : "")"
  }
}
