/// Residual addition and layer norm in one pass: `sum = a + c`, then `LayerNorm` of the sum as stored.
///
/// Inputs: a, c `[T, D]`, w, b `[1, D]`. Outputs: sum `[T, D]`, which may lie on a or c; y `[T, D]`, mean and
/// rstd `[1, T]`. Fusion emits it; it saves reading the sum again.
package struct AddLayerNorm: FusedOperation {
  package static let name = "add and layer norm"
  package var op: Op { .addLayerNorm(self) }
  package var inPlace: [InPlacePermission] { Add().inPlace }

  package var norm: LayerNorm

  package func costOfSequence(_ inputs: [Tensor], _ outputs: [Destination]) -> Cost {
    Add().cost(Array(inputs.prefix(2)), Array(outputs.prefix(1)))
      + norm.cost([outputs[0].tensor] + inputs.dropFirst(2), Array(outputs.dropFirst()))
  }
}

/// Residual addition and root-mean-square norm in one pass: `sum = a + c`, then `RMSNorm` of the sum as stored.
///
/// Inputs: a, c `[T, D]`, w `[1, D]`. Outputs: sum `[T, D]`, which may lie on a or c; y `[T, D]`, rstd `[1, T]`.
/// Fusion emits it; it saves reading the sum again.
package struct AddRMSNorm: FusedOperation {
  package static let name = "add and rms norm"
  package var op: Op { .addRMSNorm(self) }
  package var inPlace: [InPlacePermission] { Add().inPlace }

  package var norm: RMSNorm

  package func costOfSequence(_ inputs: [Tensor], _ outputs: [Destination]) -> Cost {
    Add().cost(Array(inputs.prefix(2)), Array(outputs.prefix(1)))
      + norm.cost([outputs[0].tensor] + inputs.dropFirst(2), Array(outputs.dropFirst()))
  }
}
