/// A straight list of instructions that runs as one. A device of a pipeline has a forward and a backward segment for
/// each of its chunks of layers, so that a schedule can name them.
package struct Segment: Hashable, Sendable {
  /// What a segment does; reports time each kind separately (S3).
  package enum Kind: String, Hashable, Sendable, CaseIterable {
    case forward, backward
    /// Gradient norm and clipping coefficient.
    case synchronise
    case optimizer
    /// Forward pass to the loss of each token, without gradients.
    case evaluation
    /// A stretch of prompt through the caches, and one more token through the caches.
    case prefill, decode
  }

  package var kind: Kind
  /// Which of the device's chunks of layers forward, backward and evaluation are of.
  package var chunk: Int
  package var instructions: [Instruction]

  package init(_ kind: Kind, chunk: Int = 0, _ instructions: [Instruction]) {
    self.kind = kind
    self.chunk = chunk
    self.instructions = instructions
  }

  /// FLOPs and bytes of all instructions.
  package var cost: Cost { instructions.reduce(.zero) { $0 + $1.cost } }
}

/// One entry of a step's schedule.
package enum SegmentAction: Hashable, Sendable {
  case run(Segment.Kind, microbatch: Int)
  /// The host stops here on a loss or norm that is not finite, before anything is updated; where the loss is
  /// scaled it skips the rest of the step, since a smaller scale may do.
  case gate
}

/// The order in which a step's segments run.
package enum Schedule {
  /// Gradient accumulation (S17): forward and backward of each micro-batch in turn, then one update.
  package static func accumulation(microbatches: Int) -> [SegmentAction] {
    (0..<microbatches).flatMap {
      [SegmentAction.run(.forward, microbatch: $0), .run(.backward, microbatch: $0)]
    } + [.run(.synchronise, microbatch: 0), .gate, .run(.optimizer, microbatch: 0)]
  }
}
