import ApusCommunication
import ApusCore
import ApusProgram
import CApusKernels
import Foundation

/// Transfers between their start and their end, by number. One thread drives an executor.
final class TransfersUnderWay {
  private final class Entry {
    var pending: Pending?
    init(_ pending: consuming Pending) { self.pending = consume pending }
  }

  private var entries: [Int: Entry] = [:]

  func put(_ pending: consuming Pending, _ number: Int) { entries[number] = Entry(pending) }

  func finish(_ number: Int) throws(CommunicationError) {
    guard let entry = entries.removeValue(forKey: number), let pending = entry.pending.take() else {
      return require(false, "transfer \(number) was not started")
    }
    try pending.wait()
  }
}

// Collectives, and the operations whose work depends on the rank.
extension Binder {
  private func call(_ move: Move, _ input: Tensor, _ output: Tensor, _ label: String) -> (
    any Communicator, Collective
  )? {
    guard let group = ranks.group(along: move.axis) else {
      require(false, "\(label): no group along the \(move.axis.rawValue) axis")
      return nil
    }
    require(
      group.size == move.degree, "\(label): \(move.degree) ranks recorded, but the group has \(group.size)")
    let collective = move.collective(
      from: address(input), to: address(output), input, output, type: input.type, at: ranks.position,
      label: label)
    return collective.map { (group, $0) }
  }

  func bindMove(_ move: Move, _ instruction: Instruction) -> Kernel {
    let label = instruction.label
    guard
      let (group, collective) = call(
        move, instruction.inputs[0], instruction.outputs[0].tensor, label)
    else { return { _ in } }
    return { _ throws(CommunicationError) in try group.run(collective) }
  }

  func bindStart(_ start: StartMove, _ instruction: Instruction) -> Kernel {
    let label = instruction.label
    guard
      let (group, collective) = call(
        start.move, instruction.inputs[0], instruction.outputs[0].tensor, label)
    else { return { _ in } }
    let (transfers, number) = (transfers, start.transfer)
    return { _ throws(CommunicationError) in transfers.put(try group.start(collective), number) }
  }

  func bindWait(_ wait: WaitMove, _ instruction: Instruction) -> Kernel {
    let count = wait.move.count(instruction.inputs[0], instruction.inputs[1], at: ranks.position)
    guard count > 0 else { return { _ in } }
    let (transfers, number) = (transfers, wait.transfer)
    return { _ throws(CommunicationError) in try transfers.finish(number) }
  }

  /// Copies rows of any element type.
  func bindEmbedding(_ vocabulary: VocabularySlice, _ call: Instruction) -> Kernel {
    let (out, ids, table) = (
      address(call.outputs[0].tensor), ints(call.inputs[0]), address(call.inputs[1])
    )
    let rows = Int64(call.inputs[0].count)
    let rowBytes = Int64(call.inputs[1].columns * call.inputs[1].type.byteCount)
    let own = vocabulary.range(at: ranks.position)
    return { _ in
      apus_embedding_part_forward(
        out, table, ids, rows, rowBytes, Int64(own.lowerBound), Int64(own.count))
    }
  }

  func bindStatistics(_ op: CrossEntropyStatistics, _ instruction: Instruction) -> Kernel {
    let (out, logits, targets) = (
      floats(instruction.outputs[0]), floats(instruction.inputs[0]), ints(instruction.inputs[1])
    )
    let (rows, columns) = shape(instruction.inputs[0])
    let own = op.vocabulary.range(at: ranks.position)
    return { _ in
      apus_cross_entropy_statistics_f32(
        out, logits, targets, rows, columns, Int64(own.lowerBound), Int64(own.count))
    }
  }

  func bindLosses(_ op: CrossEntropyLosses, _ instruction: Instruction) -> Kernel {
    let (losses, statistics, targets) = (
      floats(instruction.outputs[0]), floats(instruction.inputs[0]), ints(instruction.inputs[1])
    )
    let (rows, ranks) = (Int64(instruction.inputs[1].count), Int64(op.ranks))
    return { _ in apus_cross_entropy_merge_f32(losses, statistics, targets, rows, ranks) }
  }

  func bindGradient(_ op: CrossEntropyGradient, _ instruction: Instruction) -> Kernel {
    let (logits, losses, loss) = (
      floats(instruction.outputs[0]), floats(instruction.outputs[1]), floats(instruction.outputs[2])
    )
    let (statistics, targets) = (floats(instruction.inputs[0]), ints(instruction.inputs[1]))
    let control = floats(instruction.inputs[2])
    let (rows, columns) = shape(instruction.outputs[0].tensor)
    let own = op.vocabulary.range(at: ranks.position)
    let destination = instruction.outputs[2]
    let rounded = instruction.outputs.count > 3 ? instruction.outputs[3].tensor : nil
    let round = rounded.map { elements($0).bindRounding(self, $0, from: logits) }
    return {
      let scale = control[Control.tokenWeight.rawValue]
      apus_cross_entropy_part_backward_f32(
        losses, logits, statistics, targets, rows, columns, Int64(own.lowerBound), Int64(own.count),
        Int64(op.ranks), op.isScaled ? scale * control[Control.lossScale.rawValue] : scale)
      round?()
      var sum = 0.0
      for row in 0..<Int(rows) { sum += Double(losses[row]) }
      let weighted = Float(sum * Double(scale))
      loss.pointee = destination.accumulates(microbatch: $0) ? loss.pointee + weighted : weighted
    }
  }
}

extension ElementKernels {
  static func bindPositions(
    _ op: Positions, rows: ShardSlice, _ binder: Binder, _ call: Instruction
  ) -> Binder.Kernel {
    let (out, x, table) = (
      at(binder, call.outputs[0].tensor), at(binder, call.inputs[0]), at(binder, call.inputs[1])
    )
    let columns = call.inputs[0].columns
    let stretches = rows.stretches(at: binder.ranks.position, sequenceLength: op.sequenceLength)
    return { _ in
      for stretch in stretches {
        let first = stretch.row * columns
        positions(
          out + first, x + first, table, Int64(stretch.count), Int64(columns), Int64(stretch.count),
          Int64(stretch.position))
      }
    }
  }

  /// Rounds float32 numbers to a tensor of this type.
  static func bindRounding(
    _ binder: Binder, _ tensor: Tensor, from values: UnsafeMutablePointer<Float>
  ) -> () -> Void {
    let (out, count) = (at(binder, tensor), Int64(tensor.count))
    return { narrow(out, values, count, 0) }
  }

  /// A bias is a table of one position.
  static func bindBias(_ binder: Binder, _ call: Instruction) -> Binder.Kernel {
    let (out, x, bias) = (
      at(binder, call.outputs[0].tensor), at(binder, call.inputs[0]), at(binder, call.inputs[1])
    )
    let (rows, columns) = binder.shape(call.inputs[0])
    return { _ in positions(out, x, bias, rows, columns, 1, 0) }
  }
}

extension GradientKernels {
  /// Adds the rows of neighbouring tokens whose ids are the rank's own, one call a run of them.
  static func bindEmbeddingGradient(
    _ vocabulary: VocabularySlice, _ binder: Binder, _ call: Instruction
  ) -> Binder.Kernel {
    let destination = call.outputs[0]
    let (table, gradient) = (into(binder, destination), from(binder, call.inputs[1]))
    let ids = binder.ints(call.inputs[0])
    let (count, columns) = (call.inputs[1].rows, call.inputs[1].columns)
    let own = vocabulary.range(at: binder.ranks.position)
    let rows = Int64(destination.tensor.rows)
    // Row 0 of a whole table.
    let origin = table - own.lowerBound * columns
    return {
      if destination.flag($0) == 0 { memset(table, 0, destination.tensor.byteCount) }
      var token = 0
      while token < count {
        var end = token
        while end < count, own.contains(Int(ids[end])) { end += 1 }
        if end > token {
          embeddingGradient(
            origin, gradient + token * columns, ids + token, Int64(end - token), Int64(columns), rows, 1)
        }
        token = end + 1
      }
    }
  }

  static func bindPositionsGradient(
    _ op: PositionsGradient, rows: ShardSlice, _ binder: Binder, _ call: Instruction
  ) -> Binder.Kernel {
    let destination = call.outputs[0]
    let (table, gradient) = (into(binder, destination), from(binder, call.inputs[0]))
    let columns = call.inputs[0].columns
    let stretches = rows.stretches(at: binder.ranks.position, sequenceLength: op.sequenceLength)
    return {
      if destination.flag($0) == 0 { memset(table, 0, destination.tensor.byteCount) }
      for stretch in stretches {
        positionsGradient(
          table + stretch.position * columns, gradient + stretch.row * columns, Int64(stretch.count),
          Int64(columns), Int64(stretch.count), Int64(stretch.count), 1)
      }
    }
  }
}

extension ShardSlice {
  /// The rank's rows as stretches of one sequence each.
  func stretches(at position: MeshPosition, sequenceLength: Int) -> [(row: Int, position: Int, count: Int)] {
    let own = range(at: position)
    var stretches: [(row: Int, position: Int, count: Int)] = []
    var row = own.lowerBound
    while row < own.upperBound {
      let start = row % sequenceLength
      let count = min(sequenceLength - start, own.upperBound - row)
      stretches.append((row - own.lowerBound, start, count))
      row += count
    }
    return stretches
  }
}
