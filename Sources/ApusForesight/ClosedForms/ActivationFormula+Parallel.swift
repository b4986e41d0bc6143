import ApusCore

extension ActivationFormula {
  /// Bytes of all layers on one of t tensor-parallel ranks, on one of c context-parallel ones.
  ///
  /// Without sequence parallelism the ten s b h of the norms, of the blocks' inputs and of the dropout
  /// masks stay whole: s b h (10 + 24 / t + 5 a s / (h t)); with it everything is divided by t. Context
  /// parallelism divides all by c. The reference's widget forgets the division of the attention
  /// matrix by t under sequence parallelism (erratum 7), and its overview's bars for TP8 and CP8 do not
  /// follow these formulas (erratum 8).
  ///
  /// Source: Korthikanti et al. 2022, equations 2 and 4; domain reference B3.
  package func bytes(
    _ recomputation: Recomputation, tensorParallelDegree t: Int, sequenceParallel: Bool,
    contextParallelDegree c: Int = 1
  ) -> Double {
    let whole: Double
    let divided: Double
    switch recomputation {
    case .full: (whole, divided) = (2 * Double(hidden), 0)
    case .selective: (whole, divided) = (10 * Double(hidden), 24 * Double(hidden))
    case .none: (whole, divided) = (10 * Double(hidden), 24 * Double(hidden) + 5 * Double(matrix))
    }
    let layer = (sequenceParallel ? whole / Double(t) : whole) + divided / Double(t)
    return Double(shape.layerCount) * layer / Double(c)
  }
}
