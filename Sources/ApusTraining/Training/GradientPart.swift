import ApusCommunication
import ApusProgram
import ApusRuntime
import Foundation

/// The gradient of a step's first micro-batch, which stands alone in the buffers before the second is added: the
/// smaller batch of the noise scale.
///
/// With several replicas each has a gradient of its own until the last micro-batch (ZeRO stages 0 and 1), and the
/// mean of their squared norms is less noisy than one; from stage 2 on it has been summed, and the smaller batch is
/// that of all replicas. Under stage 1 a rank's norm is that of its part: the sum over the parts, each of another
/// replica's gradient, has the same expectation.
struct GradientPart {
  private let executor: Executor
  private let world: (any World)?
  private let ownTokens: Int
  private let stepTokens: Int

  struct Measured {
    var tokens: Int
    /// Of the mean gradient of the tokens.
    var squaredNorm: Double
  }

  /// nil where a layout has no such gradient: over the tensor axis terms are summed once a step, in place, and
  /// groups that shard sum over their copies at the end.
  ///
  /// - Parameters:
  ///   - ownTokens: with a target, in this replica's first micro-batch.
  ///   - stepTokens: in the whole step on all replicas.
  init?(_ executor: Executor, _ world: (any World)?, ownTokens: Int, stepTokens: Int) {
    guard executor.position.mesh.layout.hasGradientOfFirstMicrobatch else { return nil }
    self.executor = executor
    self.world = world
    self.ownTokens = ownTokens
    self.stepTokens = stepTokens
  }

  /// Measures it with the segment that measures the step's norm; all ranks call this. Gives nil where a replica has
  /// no target in its first micro-batch, or the norm is not finite.
  func measure(_ loss: Tensor, _ norm: Tensor, _ synchronise: () throws -> Void) throws -> Measured? {
    // The segment also sums the loss over the replicas, in place, which it must do once.
    let lossSoFar = executor.floats(loss)[0]
    try synchronise()
    executor.floats(loss)[0] = lossSoFar
    let squaredNorm = pow(Double(executor.floats(norm)[0]), 2)
    var tokens = Double(ownTokens)
    // Tokens weigh 1 / (tokens of the step): a part's mean gradient is that much larger.
    var mean = squaredNorm * pow(Double(stepTokens) / tokens, 2)
    if let world, world.size > 1 {
      let sums = try world.control.allReduce(
        [mean, 1 / tokens, tokens], label: "gradient of the first micro-batch")
      if executor.position.mesh.layout.zeroStage < 2 {
        // E|G_b|² is |G|² + tr(Σ) / b: what is averaged is 1 / b.
        (mean, tokens) = (sums[0] / Double(world.size), Double(world.size) / sums[1])
      } else {
        tokens = sums[2]
        mean = squaredNorm * pow(Double(stepTokens) / tokens, 2)
      }
    }
    guard mean.isFinite, mean > 0, tokens >= 1 else { return nil }
    return Measured(tokens: Int(tokens.rounded()), squaredNorm: mean)
  }
}
