import ApusCore

/// Sum of squares of stretches of the inputs, in double precision and a fixed order; a stretch that several ranks
/// of the tensor axis hold counts once, by a share on each of them.
///
/// Inputs: gradients of units, or a rank's parts of them. Output: `[1, 1]` float64.
package struct SumOfSquares: Operation {
  package static let name = "sum of squares"
  package var op: Op { .sumOfSquares(self) }

  /// The stretches of each input, padding left out.
  package var stretches: [[CountedStretch]]

  /// Elements that `copies` ranks hold.
  package struct CountedStretch: Hashable, Sendable {
    package var stretch: UnitStretch
    package var copies: Int
  }
}

/// Global norm and the factor that clips it (Pascanu et al. 2013):
/// `norm = sqrt(sum)`, `coefficient = min(1, maximum / (norm + 1e-6))`; maximum 0 = no clipping.
/// Where the loss is scaled, the norm is that of the unscaled gradients, and the coefficient undoes the
/// scale too: unscaling comes before clipping.
///
/// Inputs: sum of squares `[1, 1]` float64, and where the loss is scaled control. Outputs: norm `[1, 1]`,
/// coefficient `[1, 1]`.
package struct Clip: Operation {
  package static let name = "clip"
  package var op: Op { .clip(self) }
  package var maximumNorm: Double
  package var isScaled = false
}

/// A stretch of a unit that the optimizer treats alike.
package struct UpdateRange: Hashable, Sendable {
  package var stretch: UnitStretch
  /// Whether weight decay applies.
  package var decays: Bool
}

/// AdamW with decoupled weight decay (Loshchilov and Hutter 2019), one pass over a unit's flat buffers, or over a
/// rank's part of them:
///
///     g = gradient * clip coefficient
///     m = beta1 m + (1 - beta1) g;   v = beta2 v + (1 - beta2) g^2
///     p = p - lr decay p - lr (m / (1 - beta1^step)) / (sqrt(v / (1 - beta2^step)) + epsilon)
///
/// Inputs: gradient, clip coefficient `[1, 1]`, control (learning rate and bias corrections).
/// Outputs: float32 weights, first moment, second moment, each read and written; where the weights are masters
/// also the 16-bit weights, rounded to nearest even in the same pass. 28 bytes a parameter in fp32, 30 with
/// 16-bit weights and float32 gradients, 28 with 16-bit gradients too. Moments and arithmetic are float32.
package struct AdamW: Operation {
  package static let name = "adamw"
  package var op: Op { .adamW(self) }

  package var beta1: Double
  package var beta2: Double
  package var epsilon: Double
  package var weightDecay: Double
  package var ranges: [UpdateRange]
}
