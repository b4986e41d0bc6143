import ApusCore

/// Memory of weights, gradients and optimizer states on one of N_d data-parallel ranks with ZeRO.
///
/// Baseline 2 Ψ + 2 Ψ + k Ψ; stage 1 divides the optimizer's k by N_d, stage 2 the gradients too, stage 3
/// the weights too. k = 12 for Adam: master weights and two moments in fp32. A sum of gradients in fp32
/// is divided from stage 2 on. The reference's bars for ZeRO, tensor and pipeline parallelism are drawn
/// with k = 8, without master weights, and in GiB although labelled GB (erratum 6); their parameter counts
/// leave out the norms, as the tests show.
///
/// Source: Rajbhandari et al. 2020, "ZeRO", figure 1; domain reference S26.
package struct ShardedModelStates: Hashable, Sendable {
  /// Bytes on one rank; fractions of a byte stand for the padding that a real layout needs.
  package let weightBytes, gradientBytes, optimizerBytes: Double

  /// - Parameter zeroStage: 0 (nothing sharded) to 3 (everything).
  package init(parameterCount: Int, recipe: PrecisionRecipe, zeroStage: Int, dataParallelDegree: Int) {
    require((0...3).contains(zeroStage), "ZeRO stage \(zeroStage): there are 0 to 3")
    require(dataParallelDegree >= 1, "data-parallel degree \(dataParallelDegree): at least 1")
    let count = Double(parameterCount)
    func share(_ bytesPerParameter: Int, shardedFrom stage: Int) -> Double {
      count * Double(bytesPerParameter) / (zeroStage >= stage ? Double(dataParallelDegree) : 1)
    }
    weightBytes = share(recipe.weightBytesPerParameter, shardedFrom: 3)
    gradientBytes = share(
      recipe.gradientBytesPerParameter + recipe.gradientSumBytesPerParameter, shardedFrom: 2)
    optimizerBytes = share(
      recipe.masterWeightBytesPerParameter + recipe.momentBytesPerParameter, shardedFrom: 1)
  }

  package var totalBytes: Double { weightBytes + gradientBytes + optimizerBytes }
}
