/// GELU of a product and its bias in one pass: `y = gelu(x + bias)`, x + bias rounded to the type of x first.
///
/// Inputs: x `[T, F]`, bias `[1, F]`. Output: y `[T, F]`, which may lie on x. Fusion emits it in place of GELU,
/// and takes the bias out of the product before it, so that backward can read x + bias from x.
package struct BiasGELU: FusedOperation {
  package static let name = "bias and gelu"
  package var op: Op { .biasGELU(self) }
  package var inPlace: [InPlacePermission] { GELU().inPlace }

  /// The product adds the bias while it writes x: all that the sequence reads beside x and y.
  package func costOfSequence(_ inputs: [Tensor], _ outputs: [Destination]) -> Cost {
    GELU().cost([inputs[0]], outputs) + Cost(flops: 0, bytes: inputs[1].byteCount)
  }
}

/// `dx = dy * gelu'(x + bias)` and `dbias (+)= sum over rows of dx` in one pass.
///
/// Inputs: dy, x `[T, F]`, bias `[1, F]`. Outputs: dx `[T, F]`, which may lie on dy; dbias `[1, F]`. Fusion emits
/// it; it saves reading dx again for the sum.
package struct BiasGELUGradient: FusedOperation {
  package static let name = "bias and gelu gradient"
  package var op: Op { .biasGELUGradient(self) }
  package var inPlace: [InPlacePermission] { GELUGradient().inPlace }

  package func costOfSequence(_ inputs: [Tensor], _ outputs: [Destination]) -> Cost {
    GELUGradient().cost(Array(inputs.prefix(2)), Array(outputs.prefix(1)))
      + ColumnSum().cost([outputs[0].tensor], [outputs[1]])
  }
}
