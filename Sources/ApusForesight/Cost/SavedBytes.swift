import ApusProgram

/// Bytes that forward writes and backward reads, on one rank and for one micro-batch, by what made them.
package struct SavedBytes: Hashable, Sendable {
  /// Results of products, norms, additions and attention.
  package var values = 0.0
  /// Results that a framework which runs gates and rotations in pieces keeps once more: silu(gate) beside
  /// its product with up, and queries, keys and values before and after their split.
  package var pieces = 0.0

  package init() {}

  /// Reads a recorded program of the rank's local sizes, in the job's element types.
  package init(_ program: StepProgram, _ job: TrainingJob) {
    guard let forward = program.segment(.forward), let backward = program.segment(.backward) else { return }
    let read = Set(backward.instructions.flatMap { $0.inputs.map(\.storage) })
    for instruction in forward.instructions {
      for output in instruction.outputs where read.contains(output.tensor.storage) {
        let storage = program.storages[output.tensor.storage]
        guard storage.role == .activation else { continue }
        var bytes = Double(storage.byteCount)
        if let experts = job.experts, instruction.isOfExperts {
          bytes *= Double(experts.active) + experts.sharedShare
        }
        switch instruction.op {
        case .swiglu, .rotary:
          values += bytes
          pieces += bytes
        default: values += bytes
        }
      }
    }
  }

  package static func - (a: SavedBytes, b: SavedBytes) -> SavedBytes {
    var difference = SavedBytes()
    difference.values = a.values - b.values
    difference.pieces = a.pieces - b.pieces
    return difference
  }
}
