/// One instruction that does the work of a sequence of others in one pass over memory.
///
/// Its kernel is bit-equal to the sequence, so fusing changes no result, and recomputation stays exact.
package protocol FusedOperation: Operation {
  /// What the sequence would take: the same arithmetic, and the values between its instructions written and
  /// read again.
  func costOfSequence(_ inputs: [Tensor], _ outputs: [Destination]) -> Cost
}

extension Instruction {
  /// Cost of the instructions that this one stands for: its own where it is not fused.
  package var unfusedCost: Cost {
    guard let fused = op.operation as? any FusedOperation else { return cost }
    return fused.costOfSequence(inputs, outputs)
  }
}

extension Segment {
  /// FLOPs and bytes without fusion.
  package var unfusedCost: Cost { instructions.reduce(.zero) { $0 + $1.unfusedCost } }
}
