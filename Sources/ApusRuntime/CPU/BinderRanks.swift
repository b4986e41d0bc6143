import ApusCommunication
import ApusCore
import ApusProgram
import CApusKernels

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

  func bindEmbedding(_ vocabulary: VocabularySlice, _ instruction: Instruction) -> Kernel {
    let (out, ids, table) = (
      floats(instruction.outputs[0]), ints(instruction.inputs[0]), floats(instruction.inputs[1])
    )
    let (rows, columns) = (Int64(instruction.inputs[0].count), Int64(instruction.inputs[1].columns))
    let own = vocabulary.range(at: ranks.position)
    return { _ in
      apus_embedding_part_forward_f32(
        out, table, ids, rows, columns, Int64(own.lowerBound), Int64(own.count))
    }
  }

  func bindEmbeddingGradient(_ vocabulary: VocabularySlice, _ instruction: Instruction) -> Kernel {
    let output = instruction.outputs[0]
    let (table, ids, gradient) = (floats(output), ints(instruction.inputs[0]), floats(instruction.inputs[1]))
    let (rows, columns) = shape(instruction.inputs[1])
    let own = vocabulary.range(at: ranks.position)
    return {
      apus_embedding_part_backward_f32(
        table, gradient, ids, rows, columns, Int64(output.tensor.rows), Int64(own.lowerBound),
        Int64(own.count), output.flag($0))
    }
  }

  /// The rank's rows as stretches of one sequence each: first row, first position, rows.
  func stretches(_ rows: ShardSlice, sequenceLength: Int) -> [(row: Int, position: Int, count: Int)] {
    rows.stretches(at: ranks.position, sequenceLength: sequenceLength)
  }

  func bindPositions(_ op: Positions, rows: ShardSlice, _ instruction: Instruction) -> Kernel {
    let (out, x, table) = (
      floats(instruction.outputs[0]), floats(instruction.inputs[0]), floats(instruction.inputs[1])
    )
    let columns = instruction.inputs[0].columns
    let stretches = stretches(rows, sequenceLength: op.sequenceLength)
    return { _ in
      for stretch in stretches {
        let at = stretch.row * columns
        apus_position_forward_f32(
          out + at, x + at, table, Int64(stretch.count), Int64(columns), Int64(stretch.count),
          Int64(stretch.position))
      }
    }
  }

  func bindPositionsGradient(
    _ op: PositionsGradient, rows: ShardSlice, _ instruction: Instruction
  ) -> Kernel {
    let output = instruction.outputs[0]
    let (table, gradient) = (floats(output), floats(instruction.inputs[0]))
    let columns = instruction.inputs[0].columns
    let stretches = stretches(rows, sequenceLength: op.sequenceLength)
    return {
      if output.flag($0) == 0 { table.update(repeating: 0, count: output.tensor.count) }
      for stretch in stretches {
        apus_position_backward_f32(
          table + stretch.position * columns, gradient + stretch.row * columns, Int64(stretch.count),
          Int64(columns), Int64(stretch.count), Int64(stretch.count), 1)
      }
    }
  }

  func bindBias(_ instruction: Instruction) -> Kernel {
    let (out, x, bias) = (
      floats(instruction.outputs[0]), floats(instruction.inputs[0]), floats(instruction.inputs[1])
    )
    let (rows, columns) = shape(instruction.inputs[0])
    return { _ in apus_position_forward_f32(out, x, bias, rows, columns, 1, 0) }
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
    let weight = floats(instruction.inputs[2]) + Control.tokenWeight.rawValue
    let (rows, columns) = shape(instruction.outputs[0].tensor)
    let own = op.vocabulary.range(at: ranks.position)
    let destination = instruction.outputs[2]
    return {
      apus_cross_entropy_part_backward_f32(
        losses, logits, statistics, targets, rows, columns, Int64(own.lowerBound), Int64(own.count),
        Int64(op.ranks), weight.pointee)
      var sum = 0.0
      for row in 0..<Int(rows) { sum += Double(losses[row]) }
      let weighted = Float(sum * Double(weight.pointee))
      loss.pointee = destination.accumulates(microbatch: $0) ? loss.pointee + weighted : weighted
    }
  }

  func bindSumOfSquares(_ op: SumOfSquares, _ instruction: Instruction) -> Kernel {
    let out = doubles(instruction.outputs[0].tensor)
    var terms: [(values: UnsafeMutablePointer<Float>, count: Int64, copies: Double)] = []
    for (input, stretches) in zip(instruction.inputs, op.stretches) {
      for counted in stretches {
        let range = counted.stretch.range(at: ranks.position)
        terms.append((floats(input) + range.lowerBound, Int64(range.count), Double(counted.copies)))
      }
    }
    let bound = terms
    return { _ in
      var sum = 0.0
      for term in bound { sum += apus_sum_of_squares_f32(term.values, term.count) / term.copies }
      out.pointee = sum
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
