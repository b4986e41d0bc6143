import ApusCore

/// How an instruction writes an output.
package enum WriteMode: Hashable, Sendable {
  case overwrite
  case accumulate
  /// Overwrites in the first micro-batch of a step and accumulates in the others: gradient buffers need
  /// no zeroing, and one recording serves every micro-batch.
  case accumulateAfterFirstMicrobatch
}

/// An output of an instruction: where, and how it is written.
package struct Destination: Hashable, Sendable {
  package var tensor: Tensor
  package var mode: WriteMode

  package init(_ tensor: Tensor, _ mode: WriteMode = .overwrite) {
    self.tensor = tensor
    self.mode = mode
  }

  /// Whether micro-batch `microbatch` adds to what the tensor holds.
  package func accumulates(microbatch: Int) -> Bool {
    switch mode {
    case .overwrite: false
    case .accumulate: true
    case .accumulateAfterFirstMicrobatch: microbatch > 0
    }
  }
}

/// In which micro-batches of a step an instruction runs.
package enum Condition: Hashable, Sendable {
  case always, lastMicrobatch, beforeLastMicrobatch

  /// Whether an instruction runs in the step's last micro-batch, or in an earlier one.
  package func holds(isLast: Bool) -> Bool {
    switch self {
    case .always: true
    case .lastMicrobatch: isLast
    case .beforeLastMicrobatch: !isLast
    }
  }
}

/// One operation on tensors, as recorded. `label` says which part of the model it belongs to.
package struct Instruction: Hashable, Sendable {
  package var op: Op
  package var inputs: [Tensor]
  package var outputs: [Destination]
  package var label: String
  package var condition = Condition.always

  package var cost: Cost { op.operation.cost(inputs, outputs) }
}

/// What running one instruction takes, independent of any machine.
package struct Cost: Hashable, Sendable {
  /// Multiplications and additions of matrix products and attention; a fused pair counts two.
  package var flops: Int
  /// Bytes that have to cross memory when nothing is cached between instructions.
  package var bytes: Int

  package init(flops: Int, bytes: Int) {
    self.flops = flops
    self.bytes = bytes
  }

  package static func + (a: Cost, b: Cost) -> Cost {
    Cost(flops: a.flops + b.flops, bytes: a.bytes + b.bytes)
  }

  package static let zero = Cost(flops: 0, bytes: 0)
}
