import ApusCore
import ApusProgram

/// What the time of an instruction on a processor depends on. Instructions of one kind share a curve.
package struct InstructionWork: Hashable, Sendable {
  /// What curves are linear in, a factor each.
  package enum Term: Int, Hashable, Sendable, CaseIterable {
    /// Once a call.
    case call
    /// Multiplications and additions of products and attention.
    case flops
    /// Bytes of a product's first operand; of other instructions all that is read.
    case firstBytes
    /// Bytes of a product's second operand, which libraries pack otherwise than the first.
    case secondBytes
    /// Bytes written, twice where the result is added.
    case resultBytes
    /// Bytes that come from beyond the cache.
    case farBytes
    /// Exponentials: scores of attention, logits of the head.
    case exponentials
  }

  /// Operation, transposes, collective and element types: `product tn fp32`.
  package var kind: String
  /// The terms' values in their order.
  package var values: [Double]

  package init(kind: String, _ values: [Term: Double]) {
    self.kind = kind
    self.values = Term.allCases.map { values[$0] ?? 0 }
  }

  /// The work of an instruction in a micro-batch of a step, counted from 0.
  ///
  /// - Parameters:
  ///   - farBytes: of its operands, from beyond the cache.
  ///   - position: of the rank, which may have nothing of something to exchange.
  package init(_ instruction: Instruction, microbatch: Int, farBytes: Int, at position: MeshPosition) {
    let (inputs, outputs) = (instruction.inputs, instruction.outputs)
    let written = outputs.reduce(0) {
      $0 + $1.tensor.byteCount * ($1.accumulates(microbatch: microbatch) ? 2 : 1)
    }
    var values: [Term: Double] = [
      .call: 1, .flops: Double(instruction.cost.flops), .resultBytes: Double(written),
      .farBytes: Double(farBytes),
    ]
    let isProduct: Bool
    var variant = ""
    switch instruction.op {
    case .linear(let linear):
      isProduct = true
      variant = linear.layout == .outputMajor ? "product nt" : "product nn"
    case .product(let product):
      isProduct = true
      variant = "product \(product.transposeA ? "t" : "n")\(product.transposeB ? "t" : "n")"
    case .headLoss, .headLossGradient:
      isProduct = false
      values[.exponentials] = Double(inputs[0].rows * inputs[1].rows)
    case .attention(let attention):
      isProduct = false
      values[.exponentials] = Double(instruction.cost.flops) / Double(4 * attention.heads.headSize)
    case .attentionGradient(let gradient):
      isProduct = false
      values[.exponentials] = Double(instruction.cost.flops) / Double(10 * gradient.forward.heads.headSize)
    default: isProduct = false
    }
    let read = isProduct ? inputs.prefix(1) : inputs[...]
    values[.firstBytes] = Double(read.reduce(0) { $0 + $1.byteCount })
    if isProduct { values[.secondBytes] = Double(inputs[1].byteCount) }
    if let exchange = Self.exchange(instruction, position) {
      variant = "\(instruction.op.name) \(exchange.kind.rawValue)"
      values[.firstBytes] = Double(exchange.bytes)
      values[.resultBytes] = 0
    }
    let types = Set((inputs + outputs.map(\.tensor)).map(\.type)).subtracting([.int32, .uint8])
    let names = ElementType.allCases.filter(types.contains).map(\.shortName).joined(separator: "+")
    // What moves token ids has no name of a number behind it.
    let name = variant.isEmpty ? instruction.op.name : variant
    self.init(kind: names.isEmpty ? name : "\(name) \(names)", values)
  }

  /// The collective that an instruction runs, starts or ends, and the bytes of its whole buffer.
  private static func exchange(
    _ instruction: Instruction, _ position: MeshPosition
  ) -> (kind: CollectiveKind, bytes: Int)? {
    if case .waitMove(let wait) = instruction.op, let kind = wait.move.collective {
      let count = wait.move.count(instruction.inputs[0], instruction.inputs[1], at: position)
      let type = instruction.inputs[0].type
      return (kind, kind.payloadBytes(count: count, type: type, ranks: wait.move.degree))
    }
    return instruction.communication(at: position).map { ($0.kind, $0.volume.payloadBytes) }
  }
}
