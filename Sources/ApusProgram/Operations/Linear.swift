import ApusCore

/// How a weight matrix lies in memory. Each family keeps the order of its published files.
public enum WeightLayout: Hashable, Sendable {
  /// `[inputs, outputs]`, GPT-2's.
  case inputMajor
  /// `[outputs, inputs]`, Llama's, and every embedding table used as a head.
  case outputMajor
}

/// `y = x W (+ b)`.
///
/// Inputs: x `[T, K]`, W `[K, N]` or `[N, K]`, optional b `[1, N]`. Output: y `[T, N]`.
/// FLOPs: 2TKN forward; the gradient rule emits two products of the same size.
///
/// Over the tensor axis four pairs are legal (S30): everything whole; x replicated and the outputs divided
/// (column-parallel); x and the inputs divided (row-parallel: y is a partial sum, without bias); tokens divided
/// and the weight replicated.
package struct Linear: ForwardOperation {
  package static let name = "linear"
  package var op: Op { .linear(self) }

  package var layout: WeightLayout

  package init(layout: WeightLayout) { self.layout = layout }

  package func results(_ inputs: [Tensor]) -> [Signature] {
    let (x, w) = (inputs[0], inputs[1])
    let (k, n) = layout == .inputMajor ? (w.rows, w.columns) : (w.columns, w.rows)
    require(x.type == w.type, "linear: x is \(x.type), the weight \(w.type)")
    require(x.columns == k, "linear: x has \(x.columns) columns, the weight takes \(k)")
    if inputs.count > 2 {
      require(inputs[2].count == n, "linear: \(n) outputs, but a bias of \(inputs[2].count)")
    }
    return [Signature(x.rows, n, x.type, placement(inputs))]
  }

  private func placement(_ inputs: [Tensor]) -> Placement {
    let (x, w, bias) = (
      inputs[0].placement, inputs[1].placement, inputs.count > 2 ? inputs[2].placement : nil
    )
    let outputs: Placement = .sharded(layout == .inputMajor ? .columns : .rows)
    let inputsOfWeight: Placement = .sharded(layout == .inputMajor ? .rows : .columns)
    let result: Placement? =
      switch x {
      case .invariant where w == .invariant && bias ?? .invariant == .invariant: .invariant
      case .replicated where w == outputs && bias ?? .sharded(.columns) == .sharded(.columns):
        .sharded(.columns)
      case .sharded(.columns) where w == inputsOfWeight && bias == nil: .partialSum
      case .sharded(.rows) where w == .replicated && bias ?? .replicated == .replicated: .sharded(.rows)
      default: nil
      }
    guard let result else {
      require(
        false, "linear: x is \(x.text), the weight \(w.text)" + (bias.map { ", the bias \($0.text)" } ?? ""))
      return x
    }
    return result
  }

  package func cost(_ inputs: [Tensor], _ outputs: [Destination]) -> Cost {
    Cost(flops: 2 * inputs[0].rows * inputs[1].count, bytes: Self.bytes(inputs, outputs))
  }

  package func differentiate(_ pass: inout GradientPass, _ call: Instruction) {
    let (x, w) = (call.inputs[0], call.inputs[1])
    let dy = pass.gradient(call, 0)
    if call.inputs.count > 2 {
      pass.emit(ColumnSum(), [dy], to: [pass.destination(call.inputs[2])])
    }
    switch layout {
    case .inputMajor:
      pass.emit(Product(transposeA: true, transposeB: false), [x, dy], to: [pass.destination(w)])
      pass.emit(Product(transposeA: false, transposeB: true), [dy, w], to: [pass.destination(x)])
    case .outputMajor:
      pass.emit(Product(transposeA: true, transposeB: false), [dy, x], to: [pass.destination(w)])
      pass.emit(Product(transposeA: false, transposeB: false), [dy, w], to: [pass.destination(x)])
    }
  }
}

/// `C (+)= op(A) op(B)`; FLOPs 2MNK.
package struct Product: Operation {
  package static let name = "product"
  package var op: Op { .product(self) }
  package var transposeA: Bool
  package var transposeB: Bool

  package func cost(_ inputs: [Tensor], _ outputs: [Destination]) -> Cost {
    let inner = transposeA ? inputs[0].rows : inputs[0].columns
    return Cost(flops: 2 * outputs[0].tensor.count * inner, bytes: Self.bytes(inputs, outputs))
  }
}

/// `out[n] (+)= sum over rows of x[t, n]`: the gradient of a bias.
package struct ColumnSum: Operation {
  package static let name = "column sum"
  package var op: Op { .columnSum(self) }
}

extension StepRecorder {
  /// `x` (`[T, K]`) times `weight`, plus `bias` where given; gives `[T, N]`.
  public mutating func linear(
    _ x: Tensor, _ weight: Tensor, bias: Tensor? = nil, layout: WeightLayout
  ) -> Tensor {
    record(Linear(layout: layout), [x, weight] + (bias.map { [$0] } ?? []))[0]
  }
}
