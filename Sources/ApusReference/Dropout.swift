/// Which elements dropout drops: see `apus_dropout` in `apus_kernels.h`.
package struct DropoutDraw {
  package var seed: UInt64
  package var step, site: UInt32
  /// Where the T x D part lies in a tensor that is `width` wide.
  package var firstRow, firstColumn, width: Int
  package var probability: Float

  package init(
    seed: UInt64, step: UInt32, site: UInt32, firstRow: Int, firstColumn: Int, width: Int, probability: Float
  ) {
    (self.seed, self.step, self.site) = (seed, step, site)
    (self.firstRow, self.firstColumn, self.width) = (firstRow, firstColumn, width)
    self.probability = probability
  }

  /// Whether the element of this part's row and column is kept.
  package func keeps(row: Int, column: Int) -> Bool {
    let element = (firstRow + row) * width + firstColumn + column
    let counter = UInt64(element / 64 * 16 + element % 16)
    let words = philox4x32(
      counter: SIMD4(UInt32(truncatingIfNeeded: counter), UInt32(counter >> 32), site, step),
      key: SIMD2(UInt32(truncatingIfNeeded: seed), UInt32(seed >> 32)))
    return Double(words[element / 16 % 4]) >= (Double(probability) * 0x1p32).rounded(.down)
  }
}

extension Reference {
  /// out (+)= x / (1 - probability) where the element is kept, else 0. Forward and backward are this map.
  ///
  /// Source: Srivastava et al. 2014, "Dropout", in its inverted form.
  package static func dropout(
    _ out: Output, _ x: Input, _ T: Int, _ D: Int, _ draw: DropoutDraw, _ accumulate: Bool
  ) {
    for t in 0..<T {
      for d in 0..<D {
        let kept = draw.keeps(row: t, column: d) ? x[t * D + d] / (1 - Scalar(draw.probability)) : 0
        store(kept, out + t * D + d, accumulate)
      }
    }
  }
}
