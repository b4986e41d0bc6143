import ApusCore

/// Calls and bytes of one primitive along one axis.
package struct CommunicationVolume: Hashable, Sendable {
  package var calls = 0
  /// Whole buffers, see `CollectiveKind`.
  package var payloadBytes = 0
  /// What a rank sends by the ring formula, see `CollectiveKind`.
  package var ringBytes = 0.0

  package init() {}

  package static func + (a: CommunicationVolume, b: CommunicationVolume) -> CommunicationVolume {
    var sum = a
    sum.calls += b.calls
    sum.payloadBytes += b.payloadBytes
    sum.ringBytes += b.ringBytes
    return sum
  }
}

extension Instruction {
  /// The collective of a move, whole or started, or a message between stages: kind, axis and volume on a rank; nil
  /// of other instructions and where the rank has nothing to exchange.
  package func communication(
    at position: MeshPosition
  ) -> (axis: MeshAxis, kind: CollectiveKind, volume: CommunicationVolume)? {
    if let (kind, _, tensor) = message {
      var volume = CommunicationVolume()
      volume.calls = 1
      volume.payloadBytes = tensor.byteCount
      volume.ringBytes = kind.ringBytes(payload: tensor.byteCount, ranks: 2)
      return (.pipeline, kind, volume)
    }
    guard let move = op.move, let kind = move.collective, move.degree > 1 else { return nil }
    let count = move.count(inputs[0], outputs[0].tensor, at: position)
    guard count > 0 else { return nil }
    var volume = CommunicationVolume()
    volume.calls = 1
    volume.payloadBytes = kind.payloadBytes(count: count, type: inputs[0].type, ranks: move.degree)
    volume.ringBytes = kind.ringBytes(payload: volume.payloadBytes, ranks: move.degree)
    return (move.axis, kind, volume)
  }
}

extension StepProgram {
  /// What a rank exchanges in one step of so many micro-batches, by axis and primitive: known before it runs
  /// (S22, S23, S28, S29, B3). Evaluation is not part of a step.
  package func communication(
    microbatches: Int, at position: MeshPosition
  ) -> [MeshAxis: [CollectiveKind: CommunicationVolume]] {
    var sum: [MeshAxis: [CollectiveKind: CommunicationVolume]] = [:]
    for segment in segments {
      let repeats: Int
      switch segment.kind {
      case .forward, .backward: repeats = microbatches
      case .synchronise, .optimizer: repeats = 1
      case .evaluation, .prefill, .decode: continue
      }
      for instruction in segment.instructions {
        guard let (axis, kind, volume) = instruction.communication(at: position) else { continue }
        for repetition in 0..<repeats where instruction.condition.holds(isLast: repetition == repeats - 1) {
          sum[axis, default: [:]][kind, default: CommunicationVolume()] =
            (sum[axis]?[kind] ?? CommunicationVolume()) + volume
        }
      }
    }
    return sum
  }
}
