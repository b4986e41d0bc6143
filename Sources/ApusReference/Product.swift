extension Reference {
  /// c (+)= op(a) op(b) + bias: m x k times k x n, row-major with row strides in elements.
  ///
  /// - Parameters:
  ///   - transposeA: `a` is stored k x m instead of m x k.
  ///   - transposeB: `b` is stored n x k instead of k x n.
  ///   - bias: n values added to every row, or nil.
  package static func product(
    _ m: Int, _ n: Int, _ k: Int, _ a: Input, _ aStride: Int, _ transposeA: Bool, _ b: Input, _ bStride: Int,
    _ transposeB: Bool, _ c: Output, _ cStride: Int, _ accumulate: Bool, _ bias: Input? = nil
  ) {
    for i in 0..<m {
      for j in 0..<n {
        var sum: Scalar = 0
        for l in 0..<k {
          let left = transposeA ? a[l * aStride + i] : a[i * aStride + l]
          let right = transposeB ? b[j * bStride + l] : b[l * bStride + j]
          sum += left * right
        }
        store(sum + (bias?[j] ?? 0), c + i * cStride + j, accumulate)
      }
    }
  }
}
