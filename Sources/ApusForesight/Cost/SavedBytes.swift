import ApusProgram

/// Bytes that forward writes and backward reads, on one rank and for one micro-batch, by what made them.
package struct SavedBytes: Hashable, Sendable {
  /// Results of products, norms, additions and attention.
  package var values = 0.0
  /// Results that a framework which runs gates and rotations in pieces keeps once more: silu(gate) beside
  /// its product with up, and queries, keys and values before and after their split.
  package var pieces = 0.0
  /// Inputs of column-parallel products as all tensor ranks together hold them, two a layer.
  package var gathered = 0.0

  package init() {}

  /// Reads a recorded program of the rank's local sizes, in the job's element types.
  init(_ program: StepProgram, _ job: TrainingJob) {
    guard let forward = program.segment(.forward), let backward = program.segment(.backward) else { return }
    let read = Set(backward.instructions.flatMap { $0.inputs.map(\.storage) })
    let shards = job.layout.sequenceParallel ? Double(job.layout.tensor) : 1
    for instruction in forward.instructions {
      for output in instruction.outputs where read.contains(output.tensor.storage) {
        let storage = program.storages[output.tensor.storage]
        guard storage.role == .activation else { continue }
        // Rows of one number (log-sum-exp, reciprocal deviations) stay float32.
        let wide = output.tensor.rows > 1 && output.tensor.columns > 1
        let bytes = Double(storage.count) * (wide ? job.numbers.activationBytes : 4)
        switch instruction.op {
        case .layerNorm, .rmsNorm:
          values += bytes / shards
          if wide { gathered += bytes }
        case .add, .embedding, .positions: values += bytes / shards
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
    difference.gathered = a.gathered - b.gathered
    return difference
  }
}
