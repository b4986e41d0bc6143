extension VerificationTrace {
  /// The errors of this trace against that of one rank, and the tensors with the largest.
  func errors(
    against expected: VerificationTrace
  ) -> (errors: Verification.Errors, worstTensors: [String]) {
    func largest(_ a: [Double], _ b: [Double]) -> Double {
      guard a.count == b.count else { return .infinity }
      return zip(a, b).map { Self.relative($0 - $1, $1) }.reduce(0, Verification.Errors.larger)
    }
    let gradients = Self.largestError(self.gradients, expected.gradients)
    let first = Self.largestError(firstWeights, expected.firstWeights)
    let last = Self.largestError(weights, expected.weights)
    let isFirst = Verification.Errors.larger(first.error, last.error) == first.error
    let weights = isFirst ? first : last
    return (
      Verification.Errors(
        loss: largest(losses, expected.losses), gradientNorm: largest(norms, expected.norms),
        gradients: gradients.error, weights: weights.error), [gradients.name, weights.name]
    )
  }

  private static func relative(_ difference: Double, _ size: Double) -> Double {
    abs(difference) / max(abs(size), 1e-30)
  }

  private static func largestError(
    _ found: [String: [Float]], _ expected: [String: [Float]]
  ) -> (error: Double, name: String) {
    var worst = (error: found.count == expected.count ? 0 : Double.infinity, name: "")
    for (name, reference) in expected.sorted(by: { $0.key < $1.key }) {
      guard let tensor = found[name], tensor.count == reference.count else { return (.infinity, name) }
      var (difference, size) = (0.0, 0.0)
      for (a, b) in zip(tensor, reference) {
        difference += (Double(a) - Double(b)) * (Double(a) - Double(b))
        size += Double(b) * Double(b)
      }
      let error = relative(difference.squareRoot(), size.squareRoot())
      if !(error <= worst.error) { worst = (error, name) }
    }
    return worst
  }

  /// Whether everything is the same, bit for bit.
  func hasBits(of other: VerificationTrace) -> Bool {
    norms.map(\.bitPattern) == other.norms.map(\.bitPattern)
      && losses.map(\.bitPattern) == other.losses.map(\.bitPattern) && hasGradientBits(of: other)
      && Self.bits(weights) == Self.bits(other.weights)
  }

  /// Whether the first step's loss and gradients are the same, bit for bit. Other buckets are other units, of which
  /// the norm adds its sums in another order.
  func hasGradientBits(of other: VerificationTrace) -> Bool {
    losses.first?.bitPattern == other.losses.first?.bitPattern
      && Self.bits(gradients) == Self.bits(other.gradients)
  }

  private static func bits(_ tensors: [String: [Float]]) -> [String: [UInt32]] {
    tensors.mapValues { $0.map(\.bitPattern) }
  }
}
