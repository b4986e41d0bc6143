import ApusCore

/// How many bytes training keeps for each parameter, by what they are for.
///
/// Sources: domain reference S10 and S11, and the table of recipes in B10.
package struct PrecisionRecipe: Hashable, Sendable {
  package var name: String
  package var weightBytesPerParameter: Int
  package var gradientBytesPerParameter: Int
  /// The copy in higher precision that the optimizer updates; 0 where the weights are that already.
  package var masterWeightBytesPerParameter: Int
  /// A separate sum of gradients in higher precision; 0 where gradients are summed in place.
  package var gradientSumBytesPerParameter: Int
  /// Adam's two moments together.
  package var momentBytesPerParameter: Int

  package var bytesPerParameter: Int {
    weightBytesPerParameter + gradientBytesPerParameter + masterWeightBytesPerParameter
      + gradientSumBytesPerParameter + momentBytesPerParameter
  }

  /// Memory of weights, gradients and optimizer states, all of it on one rank.
  ///
  /// The reference's table S12 heads the 20-byte column "mixed precision", but its own list (2 + 2 + 4
  /// + 8) gives 16: the 20 need gradients summed in fp32 (erratum 1). So mixed precision does not save
  /// this memory; it speeds up arithmetic and shrinks activations.
  package func modelStates(parameterCount: Int) -> ByteCount {
    ByteCount(bytesPerParameter * parameterCount)
  }

  /// All in fp32: 4 + 4 + 8 = 16 (S10).
  package static let float32 = PrecisionRecipe("fp32", weights: 4, gradients: 4, moments: 8)
  /// bf16 weights and gradients, fp32 master weights and moments: 2 + 2 + 4 + 8 = 16 (S11).
  package static let bfloat16 = PrecisionRecipe("bf16", weights: 2, gradients: 2, master: 4, moments: 8)
  /// The same with gradients summed in fp32: 20 (S11).
  package static let bfloat16SummingInFloat32 = PrecisionRecipe(
    "bf16, gradients summed in fp32", weights: 2, gradients: 2, master: 4, sum: 4, moments: 8)
  /// What Apus keeps under the same policy: products add to the fp32 sums directly, so that no bf16 copy of the
  /// gradients exists: 2 + 4 + 4 + 8 = 18.
  package static let bfloat16AccumulatingInFloat32 = PrecisionRecipe(
    "bf16, products add to fp32 sums", weights: 2, gradients: 4, master: 4, moments: 8)
  package static let transformerEngine = PrecisionRecipe(
    "Transformer Engine", weights: 4, gradients: 4, moments: 8)
  package static let fp8LMO3 = PrecisionRecipe(
    "FP8-LM O3", weights: 1, gradients: 1, master: 2, sum: 2, moments: 3)
  package static let deepSeekV3 = PrecisionRecipe(
    "DeepSeek-V3", weights: 1, gradients: 2, master: 4, sum: 4, moments: 4)
  package static let nanotronFP8 = PrecisionRecipe(
    "Nanotron FP8", weights: 1, gradients: 1, master: 2, sum: 4, moments: 2)

  /// The published recipes, in the order of the reference's table.
  package static let published: [PrecisionRecipe] = [
    .bfloat16SummingInFloat32, .bfloat16, .transformerEngine, .fp8LMO3, .deepSeekV3, .nanotronFP8,
  ]

  package init(
    _ name: String, weights: Int, gradients: Int, master: Int = 0, sum: Int = 0, moments: Int
  ) {
    self.name = name
    weightBytesPerParameter = weights
    gradientBytesPerParameter = gradients
    masterWeightBytesPerParameter = master
    gradientSumBytesPerParameter = sum
    momentBytesPerParameter = moments
  }
}
