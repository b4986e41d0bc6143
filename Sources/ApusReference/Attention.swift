extension Reference {
  /// Sizes and row strides of an attention: batch * S rows; `q` has Hq heads of headSize side by side in a
  /// row, `k` and `v` have Hkv; head h of `q` reads head h / (Hq/Hkv) of `k` and `v`.
  package struct AttentionShape {
    package var batch, S, Hq, Hkv, headSize: Int
    package var qStride, kStride, vStride, oStride: Int
    package var dqStride, dkStride, dvStride, doStride: Int
    package var scale: Scalar

    /// A shape with dense rows and the usual scale, 1 / sqrt(headSize).
    package init(batch: Int, S: Int, Hq: Int, Hkv: Int, headSize: Int) {
      (self.batch, self.S, self.Hq, self.Hkv, self.headSize) = (batch, S, Hq, Hkv, headSize)
      (qStride, oStride, dqStride, doStride) = (
        Hq * headSize, Hq * headSize, Hq * headSize, Hq * headSize
      )
      (kStride, vStride, dkStride, dvStride) = (
        Hkv * headSize, Hkv * headSize, Hkv * headSize, Hkv * headSize
      )
      scale = 1 / Scalar(headSize).squareRoot()
    }
  }

  private static func dot(_ a: Input, _ b: Input, _ n: Int) -> Scalar {
    var sum: Scalar = 0
    for i in 0..<n { sum += a[i] * b[i] }
    return sum
  }

  /// One query row against `count` keys: o = softmax(scale * q k) v, and the log of the softmax's sum.
  private static func attendRow(
    _ o: Output, _ q: Input, _ k: Input, _ kStride: Int, _ v: Input, _ vStride: Int, _ count: Int,
    _ headSize: Int, _ scale: Scalar
  ) -> Scalar {
    var weights = [Scalar](repeating: 0, count: count)
    for j in 0..<count { weights[j] = scale * dot(q, k + j * kStride, headSize) }
    var maximum = weights[0]
    for w in weights where w > maximum { maximum = w }
    var sum: Scalar = 0
    for j in 0..<count {
      weights[j] = exponential(weights[j] - maximum)
      sum += weights[j]
    }
    for d in 0..<headSize {
      var value: Scalar = 0
      for j in 0..<count { value += weights[j] / sum * v[j * vStride + d] }
      o[d] = value
    }
    return maximum + logarithm(sum)
  }

  /// Causal attention: o[t] = softmax over j <= t of (scale * q[t] k[j]) times v[j], per head and sequence.
  /// `lse` is Hq x T, the natural log of each softmax's sum.
  package static func attentionForward(
    _ shape: AttentionShape, _ o: Output, _ lse: Output, _ q: Input, _ k: Input, _ v: Input
  ) {
    let T = shape.batch * shape.S
    for t in 0..<T {
      let first = t - t % shape.S
      for h in 0..<shape.Hq {
        let kvColumn = h / (shape.Hq / shape.Hkv) * shape.headSize
        lse[h * T + t] = attendRow(
          o + t * shape.oStride + h * shape.headSize, q + t * shape.qStride + h * shape.headSize,
          k + first * shape.kStride + kvColumn, shape.kStride,
          v + first * shape.vStride + kvColumn, shape.vStride,
          t % shape.S + 1, shape.headSize, shape.scale)
      }
    }
  }

  /// With p the softmax: dv[j] = sum p do, ds = p (do v - do o), dq = scale sum ds k, dk = scale sum ds q.
  /// Overwrites `dq`, `dk`, `dv`; `dot` (Hq x T) receives the row sums of do * o.
  package static func attentionBackward(
    _ shape: AttentionShape, _ dq: Output, _ dk: Output, _ dv: Output, _ d_o: Input, _ o: Input,
    _ lse: Input, _ dot: Output, _ q: Input, _ k: Input, _ v: Input
  ) {
    let T = shape.batch * shape.S
    let size = shape.headSize
    for t in 0..<T {
      (dq + t * shape.dqStride).update(repeating: 0, count: shape.Hq * size)
      (dk + t * shape.dkStride).update(repeating: 0, count: shape.Hkv * size)
      (dv + t * shape.dvStride).update(repeating: 0, count: shape.Hkv * size)
    }
    for t in 0..<T {
      for h in 0..<shape.Hq {
        let column = h * size
        let kvColumn = h / (shape.Hq / shape.Hkv) * size
        let qRow = q + t * shape.qStride + column
        let doRow = d_o + t * shape.doStride + column
        let rowSum = Self.dot(doRow, o + t * shape.oStride + column, size)
        dot[h * T + t] = rowSum
        for j in (t - t % shape.S)...t {
          let kRow = k + j * shape.kStride + kvColumn
          let p = exponential(shape.scale * Self.dot(qRow, kRow, size) - lse[h * T + t])
          let dp = Self.dot(doRow, v + j * shape.vStride + kvColumn, size)
          let ds = p * (dp - rowSum) * shape.scale
          for d in 0..<size {
            dv[j * shape.dvStride + kvColumn + d] += p * doRow[d]
            dq[t * shape.dqStride + column + d] += ds * kRow[d]
            dk[j * shape.dkStride + kvColumn + d] += ds * qRow[d]
          }
        }
      }
    }
  }

  /// batch * S new rows of one sequence at positions start...: their `k` and `v` are appended to the caches
  /// (capacity x Hkv * headSize, dense), then row i attends to positions 0...start + i.
  package static func attentionCached(
    _ shape: AttentionShape, _ o: Output, _ q: Input, _ k: Input, _ v: Input, _ kCache: Output,
    _ vCache: Output, _ start: Int
  ) {
    let T = shape.batch * shape.S
    let width = shape.Hkv * shape.headSize
    for t in 0..<T {
      for c in 0..<width {
        kCache[(start + t) * width + c] = k[t * shape.kStride + c]
        vCache[(start + t) * width + c] = v[t * shape.vStride + c]
      }
    }
    for t in 0..<T {
      for h in 0..<shape.Hq {
        let kvColumn = h / (shape.Hq / shape.Hkv) * shape.headSize
        _ = attendRow(
          o + t * shape.oStride + h * shape.headSize, q + t * shape.qStride + h * shape.headSize,
          kCache + kvColumn, width, vCache + kvColumn, width, start + t + 1, shape.headSize, shape.scale)
      }
    }
  }
}
