import ApusCore
import ApusProgram

/// Errors as a wrong pass could make them, planted in a recorded program.
enum PlantedError: String, CaseIterable, Sendable {
  /// The first sum over an axis in backward is left out.
  case skippedDataSum = "skipped data sum"
  case skippedTensorSum = "skipped tensor sum"
  /// It is made twice: a wrong scale.
  case doubledDataSum = "doubled data sum"
  case doubledTensorSum = "doubled tensor sum"
  /// The gradients of norms, of which each rank has a term under sequence parallelism, are not summed.
  case forgottenNormGradients = "forgotten norm gradients"
  /// The last bucket of backward is not summed over the replicas.
  case missedBucket = "missed bucket"
  /// The optimizer takes a rank's part of the gradients from half as far into the unit.
  case wrongShardOffset = "wrong shard offset"
  /// What several ranks of the tensor axis hold counts on each of them in the norm.
  case copiesInNorm = "copies counted in the norm"

  /// Plants it; false where the program has no place for it.
  func plant(in program: inout StepProgram) -> Bool {
    switch self {
    case .skippedDataSum: program.skip(.allReduce, over: .data)
    case .skippedTensorSum: program.skip(.allReduce, over: .tensor)
    case .doubledDataSum: program.double(.allReduce, over: .data)
    case .doubledTensorSum: program.double(.allReduce, over: .tensor)
    case .forgottenNormGradients: program.skip(.allReduce, over: .tensor) { $0.condition == .lastMicrobatch }
    case .missedBucket: program.skip(.allReduce, over: .data, last: true)
    case .wrongShardOffset: program.shiftShards()
    case .copiesInNorm: program.countCopies()
    }
  }
}

extension StepProgram {
  /// Leaves out one sum of backward (the last, or the first), with its end: each rank goes on with its own term.
  fileprivate mutating func skip(
    _ kind: CollectiveKind, over axis: MeshAxis, last: Bool = false,
    where accepts: (Instruction) -> Bool = { _ in true }
  ) -> Bool {
    change(.backward) { instructions in
      let all = instructions.indices.filter {
        instructions[$0].op.move?.axis == axis && instructions[$0].op.move?.collective == kind
          && accepts(instructions[$0])
      }
      guard let victim = last ? all.last : all.first else { return false }
      if instructions[victim].inputs[0].storage != instructions[victim].outputs[0].tensor.storage {
        instructions[victim].op = Copy().op
        return true
      }
      let start = instructions.remove(at: victim)
      instructions.removeAll { Self.isEnd($0, of: start) }
      return true
    }
  }

  /// Makes the first sum of backward once more, on what has been summed.
  fileprivate mutating func double(_ kind: CollectiveKind, over axis: MeshAxis) -> Bool {
    change(.backward) { instructions in
      let victim = instructions.firstIndex {
        $0.op.move?.axis == axis && $0.op.move?.collective == kind
      }
      guard let victim, let move = instructions[victim].op.move else { return false }
      var again = instructions[victim]
      again.op = move.op
      again.inputs[0] = again.outputs[0].tensor
      let start = instructions[victim]
      let behind = instructions.firstIndex { Self.isEnd($0, of: start) } ?? victim
      instructions.insert(again, at: behind + 1)
      return true
    }
  }

  private static func isEnd(_ instruction: Instruction, of other: Instruction) -> Bool {
    guard case .startMove(let start) = other.op, case .waitMove(let wait) = instruction.op else {
      return false
    }
    return wait.transfer == start.transfer
  }

  /// The optimizer reads gradients at half the offset of the rank's part.
  fileprivate mutating func shiftShards() -> Bool {
    change(.optimizer) { instructions in
      var isDone = false
      for index in instructions.indices {
        guard case .adamW = instructions[index].op, let shift = instructions[index].inputs[0].shift else {
          continue
        }
        instructions[index].inputs[0].shift = ShardSlice(axis: shift.axis, count: shift.count / 2)
        isDone = true
      }
      return isDone
    }
  }

  /// The norm counts what several ranks hold as if each held its own.
  fileprivate mutating func countCopies() -> Bool {
    change(.synchronise) { instructions in
      var isDone = false
      for index in instructions.indices {
        guard case .sumOfSquares(var op) = instructions[index].op else { continue }
        for unit in op.stretches.indices {
          for stretch in op.stretches[unit].indices where op.stretches[unit][stretch].copies > 1 {
            op.stretches[unit][stretch].copies = 1
            isDone = true
          }
        }
        instructions[index].op = .sumOfSquares(op)
      }
      return isDone
    }
  }

  private mutating func change(
    _ kind: Segment.Kind, _ body: (inout [Instruction]) -> Bool
  ) -> Bool {
    for group in groups.indices {
      for segment in groups[group].indices where groups[group][segment].kind == kind {
        return body(&groups[group][segment].instructions)
      }
    }
    return false
  }
}
