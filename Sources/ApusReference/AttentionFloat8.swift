import ApusCore

/// How the operands of an 8-bit attention are brought into the format's range.
package enum Float8Scaling: Sendable {
  /// Converted as they are.
  case none
  /// One scale for a whole tensor.
  case tensor
  /// One scale for each block of so many rows.
  case block(rows: Int)
}

/// Attention with both products in 8-bit floating point, emulated: operands are rounded to e4m3fn, sums and
/// softmax are exact (Double). One head, queries and keys of one length.
///
/// Source: Shah et al. 2024, "FlashAttention-3", section 3.3: a scale for each block of Q, K and V that a
/// tile reads, and incoherent processing, Q M and K M with M a Hadamard matrix times random signs, which
/// leaves Q K' as it is and spreads outliers over the head.
package struct Float8Attention {
  package var scaling: Float8Scaling
  package var incoherent: Bool
  let format = FloatFormat.e4m3fn

  package init(scaling: Float8Scaling, incoherent: Bool) {
    self.scaling = scaling
    self.incoherent = incoherent
  }

  /// Causal attention of S x size matrices; `size` is a power of two if `incoherent`.
  package func callAsFunction(q: [Double], k: [Double], v: [Double], size: Int) -> [Double] {
    let S = q.count / size
    let quantised = [incoherent ? mixed(q, size) : q, incoherent ? mixed(k, size) : k, v]
      .map { rounded($0, size) }
    var o = [Double](repeating: 0, count: S * size)
    for t in 0..<S {
      var scores = [Double](repeating: 0, count: t + 1)
      for j in 0...t {
        for d in 0..<size { scores[j] += quantised[0][t * size + d] * quantised[1][j * size + d] }
      }
      let scale = 1 / Double(size).squareRoot()
      let largest = scores.max()!
      let weights = scores.map { Reference<Double>.exponential(scale * ($0 - largest)) }
      let sum = weights.reduce(0, +)
      for j in 0...t {
        // The weights lie in 0...1; the format's range is used up to its end.
        let weight = format.rounded(weights[j] * 256) / 256
        for d in 0..<size { o[t * size + d] += weight / sum * quantised[2][j * size + d] }
      }
    }
    return o
  }

  /// Each row times the Hadamard matrix, with signs that alternate as bits of a Philox draw, by the fast
  /// transform; orthogonal, so products of two rows stay.
  private func mixed(_ x: [Double], _ size: Int) -> [Double] {
    require(size & (size - 1) == 0, "incoherent processing: head size \(size) is not a power of two")
    let signs = (0..<size).map { index in
      philox4x32(counter: SIMD4(UInt32(index), 0, 0, 0), key: SIMD2(0, 0))[0] & 1 == 0 ? 1.0 : -1.0
    }
    var y = x
    for row in stride(from: 0, to: x.count, by: size) {
      for d in 0..<size { y[row + d] *= signs[d] / Double(size).squareRoot() }
      var span = 1
      while span < size {
        for start in stride(from: 0, to: size, by: 2 * span) {
          for d in start..<start + span {
            let (a, b) = (y[row + d], y[row + d + span])
            (y[row + d], y[row + d + span]) = (a + b, a - b)
          }
        }
        span *= 2
      }
    }
    return y
  }

  /// `x` as 8 bits and its scales represent it: the largest magnitude of a block becomes the format's largest.
  private func rounded(_ x: [Double], _ size: Int) -> [Double] {
    let block: Int
    switch scaling {
    case .none: return x.map { format.rounded($0, saturating: true) }
    case .tensor: block = x.count
    case .block(let rows): block = rows * size
    }
    var y = x
    for start in stride(from: 0, to: x.count, by: block) {
      let part = start..<min(start + block, x.count)
      let largest = x[part].reduce(0) { max($0, abs($1)) }
      let scale = largest == 0 ? 1 : largest / format.largest
      for i in part { y[i] = format.rounded(x[i] / scale, saturating: true) * scale }
    }
    return y
  }
}
