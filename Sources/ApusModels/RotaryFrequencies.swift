import Foundation

/// Angular frequencies of rotary positions.
package enum RotaryFrequencies {
  /// `theta^(-2i / headSize)` for i < headSize/2 (Su et al. 2021, section 3.2.2), in radians a position;
  /// stretched where the model asks for it: long waves by `factor`, short ones not at all, and a linear
  /// blend between (Llama 3.1 reference implementation).
  package static func values(of c: ModelConfiguration) -> [Double] {
    (0..<c.headSize / 2).map { i in
      let frequency = pow(c.ropeTheta, -2 * Double(i) / Double(c.headSize))
      guard let scaling = c.ropeScaling else { return frequency }
      let waves = Double(scaling.originalMaximumPosition) * frequency / (2 * .pi)
      if waves < scaling.lowFrequencyFactor { return frequency / scaling.factor }
      if waves > scaling.highFrequencyFactor { return frequency }
      let blend =
        (waves - scaling.lowFrequencyFactor) / (scaling.highFrequencyFactor - scaling.lowFrequencyFactor)
      return (1 - blend) * frequency / scaling.factor + blend * frequency
    }
  }
}
