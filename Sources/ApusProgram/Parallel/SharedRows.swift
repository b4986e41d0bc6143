import ApusCore

/// A tied table's gradient is complete only when backward has come to the embedding, its very last instruction, and
/// the table is a large part of a small model: its sum over replicas could not hide behind anything. But what the
/// embedding adds is few rows. So the sum starts as soon as the head has contributed, with what earlier
/// micro-batches have added; the last micro-batch's rows are gathered from all replicas, and each adds them all.
///
/// Used with ZeRO 0 and 1, where gradients persist, and where the gathered rows are at most half of the table's.
extension Materialisation {
  static func sharesRows(_ embedding: Instruction, readAgain: Bool, _ mesh: Mesh) -> Bool {
    guard readAgain, case .embedding = embedding.op else { return false }
    let replicas = mesh.degree(of: mesh.gradientAxis)
    let (ids, table) = (embedding.inputs[0], embedding.inputs[1])
    return replicas > 1 && mesh.layout.zeroStage < 2 && 2 * replicas * ids.count <= table.rows
  }
}

extension GradientPass {
  /// Whether the sum of a table's gradient over replicas has started, and its last rows are shared.
  func sharesRows(of table: Tensor) -> Bool { reading(table.storage).reading.sharesRows }

  /// Adds rows to a table's gradient: the replica's own before the last micro-batch, those of all replicas in it.
  mutating func addSharedRows(
    _ operation: EmbeddingGradient, _ ids: Tensor, _ gradient: Tensor, to table: Tensor
  ) {
    let destination = destination(table)
    require(destination.mode == .accumulate, "shared rows: nothing was added to the table before")
    emit(operation, [ids, gradient], to: [destination], .beforeLastMicrobatch)
    let degree = mesh.degree(of: mesh.gradientAxis)
    func gathered(_ name: String, _ part: Tensor) -> Tensor {
      temporary(
        name, Signature(degree * part.rows, part.columns, part.type), role: .communication)
    }
    let (allIds, allRows) = (gathered("ids of all replicas", ids), gathered("rows of all replicas", gradient))
    let gather = Move(
      from: .sharded(.rows), to: .invariant, axis: mesh.gradientAxis, degree: degree)
    let instructions = [
      instruction(gather, [ids], to: [Destination(allIds)], .lastMicrobatch),
      instruction(gather, [gradient], to: [Destination(allRows)], .lastMicrobatch),
      instruction(operation, [allIds, allRows], to: [destination], .lastMicrobatch),
    ]
    finishTransfers(of: destination.tensor)
    for instruction in instructions {
      if communication.gradients == .naive { emitAtEnd(instruction) } else { emit(instruction) }
    }
  }
}
