/// Replaces neighbouring instructions by one that does their work in one pass over memory.
///
/// Runs last, after recomputation, so that repeated instructions are fused like the first ones. What is fused:
///
/// - the addition that ends a residual branch and the norm that opens the next;
/// - dropout and the addition behind it;
/// - a product's bias and the GELU behind it; in backward GELU's gradient and the bias's.
///
/// The norm's gradient needs no fusion with the addition of the residual's: it adds to it in place
/// (`GradientPass`).
package struct Fusion {
  private var instructions: [Instruction]

  /// Fuses what can be fused in every segment of a program.
  package static func apply(_ groups: [[Segment]], storages: [Storage]) -> [[Segment]] {
    let products = FusableBias(groups, storages: storages)
    return groups.map { segments in
      segments.map { segment in
        var pass = Fusion(instructions: products.rewrite(segment.instructions))
        pass.fusePairs(Self.dropoutAndAdd)
        pass.fusePairs(Self.addAndNorm)
        return Segment(segment.kind, chunk: segment.chunk, pass.instructions)
      }
    }
  }

  /// Replaces each pair of neighbours for which `pair` gives an instruction.
  private mutating func fusePairs(_ pair: (Instruction, Instruction) -> Instruction?) {
    var fused: [Instruction] = []
    for instruction in instructions {
      if let last = fused.last, let both = pair(last, instruction) {
        fused[fused.count - 1] = both
      } else {
        fused.append(instruction)
      }
    }
    instructions = fused
  }

  /// A dropout whose result the next instruction adds: nothing else reads it, backward included.
  private static func dropoutAndAdd(_ drop: Instruction, _ add: Instruction) -> Instruction? {
    guard case .dropout(let dropout) = drop.op, case .add = add.op else { return nil }
    let dropped = drop.outputs[0].tensor
    guard add.inputs[1] == dropped, add.inputs[0] != dropped, drop.outputs[0].mode == .overwrite else {
      return nil
    }
    return Instruction(
      op: .dropoutAdd(DropoutAdd(dropout: dropout)), inputs: [add.inputs[0]] + drop.inputs,
      outputs: add.outputs, label: add.label)
  }

  /// An addition whose sum the next instruction normalises.
  private static func addAndNorm(_ add: Instruction, _ norm: Instruction) -> Instruction? {
    guard case .add = add.op, norm.inputs.first == add.outputs[0].tensor, add.outputs[0].mode == .overwrite
    else {
      return nil
    }
    let op: Op
    switch norm.op {
    case .layerNorm(let operation): op = .addLayerNorm(AddLayerNorm(norm: operation))
    case .rmsNorm(let operation): op = .addRMSNorm(AddRMSNorm(norm: operation))
    default: return nil
    }
    return Instruction(
      op: op, inputs: add.inputs + norm.inputs.dropFirst(), outputs: add.outputs + norm.outputs,
      label: norm.label)
  }
}

extension StepProgram {
  /// Fuses what can be fused in every segment.
  package mutating func fuse() { groups = Fusion.apply(groups, storages: storages) }
}
