import ApusReference
import CApusKernels
import Testing

/// The 16-bit forms of norms, column sums, cross-entropy and attention.
extension KernelTests {
  @Test(arguments: HalfKernels.all, [[1, 1], [5, 7], [37, 64], [300, 129]])
  func halfNorms(_ half: HalfKernels, _ size: [Int]) {
    let (T, D) = (size[0], size[1])
    let (rows, width) = (Int64(T), Int64(D))
    let x = Self.halves(half, T * D, seed: 1, range: 3)
    let dy = Self.halves(half, T * D, seed: 2)
    let (w, b) = (Self.halves(half, D, seed: 3), Self.halves(half, D, seed: 4))
    let (mean, rstd) = (Self.numbers(T, seed: 5), Self.numbers(T, seed: 6).map { $0 + 1.5 })
    let state = [Float](repeating: 0, count: T)
    Self.compare("layernorm in place", half, [x], [state, state], within: Self.normed) { h, f in
      half.layernormForward(h[0], f[0], f[1], h[0], w, b, rows, width, 1e-2)
    } reference: {
      Reference<Double>.layernormForward(
        $0[0], $0[1], $0[2], $0[0], half.doubles(w), half.doubles(b), T, D, Double(Float(1e-2)))
    }
    Self.compare("rmsnorm in place", half, [x], [state], within: Self.normed) { h, f in
      half.rmsnormForward(h[0], f[0], h[0], w, rows, width, 1e-2)
    } reference: {
      Reference<Double>.rmsnormForward($0[0], $0[1], $0[0], half.doubles(w), T, D, Double(Float(1e-2)))
    }
    for accumulate in [false, true] {
      let flag: Int32 = accumulate ? 1 : 0
      let start = Self.halves(half, T * D, seed: 7)
      Self.compare("layernorm backward", half, [start], within: Self.normed) { h, _ in
        half.layernormBackward(h[0], dy, x, w, mean, rstd, rows, width, flag)
      } reference: {
        Reference<Double>.layernormBackward(
          $0[0], half.doubles(dy), half.doubles(x), half.doubles(w), mean.doubles, rstd.doubles, T, D,
          accumulate)
      }
      Self.compare("rmsnorm backward", half, [start], within: Self.normed) { h, _ in
        half.rmsnormBackward(h[0], dy, x, w, rstd, rows, width, flag)
      } reference: {
        Reference<Double>.rmsnormBackward(
          $0[0], half.doubles(dy), half.doubles(x), half.doubles(w), rstd.doubles, T, D, accumulate)
      }
    }
  }

  @Test(arguments: HalfKernels.all, [[1, 1], [5, 7], [300, 129]])
  func halfColumnSums(_ half: HalfKernels, _ size: [Int]) {
    let (T, D) = (size[0], size[1])
    let (rows, width) = (Int64(T), Int64(D))
    let x = Self.halves(half, T * D, seed: 1, range: 3)
    let dy = Self.halves(half, T * D, seed: 2)
    let (mean, rstd) = (Self.numbers(T, seed: 5), Self.numbers(T, seed: 6).map { $0 + 1.5 })
    for accumulate in [false, true] {
      let (flag, other): (Int32, Int32) = accumulate ? (1, 0) : (0, 1)
      let wide = [Self.numbers(D, seed: 8), Self.numbers(D, seed: 9)]
      let narrow = wide.map(half.round)
      let weights = { (out: Outputs<Double>) in
        Reference<Double>.layernormBackwardWeights(
          out[0], out[1], half.doubles(dy), half.doubles(x), mean.doubles, rstd.doubles, T, D, accumulate,
          !accumulate)
      }
      Self.compare(
        "layernorm weights", half, [], wide, within: Self.normed,
        kernel: { _, f in
          half.layernormWeights(f[0], f[1], dy, x, mean, rstd, rows, width, flag, other)
        }, reference: weights)
      Self.compare(
        "16-bit layernorm weights", half, narrow, within: Self.normed,
        kernel: { h, _ in
          half.layernormWeightsHalf(h[0], h[1], dy, x, mean, rstd, rows, width, flag, other)
        }, reference: weights)
      Self.compare("rmsnorm weights", half, [], [wide[0]], within: Self.normed) { _, f in
        half.rmsnormWeights(f[0], dy, x, rstd, rows, width, flag)
      } reference: {
        Reference<Double>.rmsnormBackwardWeights(
          $0[0], half.doubles(dy), half.doubles(x), rstd.doubles, T, D, accumulate)
      }
      let sum = { (out: Outputs<Double>) in
        Reference<Double>.columnSum(out[0], half.doubles(x), T, D, D, accumulate)
      }
      Self.compare(
        "column sum", half, [], [wide[0]], within: Self.exactSum,
        kernel: { _, f in
          half.columnSum(f[0], x, rows, width, width, flag)
        }, reference: sum)
      Self.compare(
        "16-bit column sum", half, [narrow[0]], within: Self.exactSum,
        kernel: { h, _ in
          half.columnSumHalf(h[0], x, rows, width, width, flag)
        }, reference: sum)
    }
  }

  @Test(arguments: HalfKernels.all, [[1, 1], [3, 67], [20, 1000]])
  func halfCrossEntropy(_ half: HalfKernels, _ size: [Int]) {
    let (T, V) = (size[0], size[1])
    let logits = Self.halves(half, T * V, seed: 1, range: 8)
    let targets = (0..<T).map { Int32($0 % 4 == 3 ? -1 : $0 * 31 % V) }
    let (unset, scale) = ([Float](repeating: 9, count: T), Float(0.5))
    let tolerance = Tolerance(absolute: 4e-6, relative: 1e-5)
    Self.compare("cross-entropy", half, [], [unset], within: tolerance) { _, f in
      half.crossEntropyForward(f[0], logits, targets, Int64(T), Int64(V))
    } reference: {
      Reference<Double>.crossEntropyForward($0[0], half.doubles(logits), targets, T, V)
    }
    Self.compare("cross-entropy backward", half, [logits], [unset], within: tolerance) { h, f in
      half.crossEntropyBackward(f[0], h[0], targets, Int64(T), Int64(V), scale)
    } reference: {
      Reference<Double>.crossEntropyBackward($0[1], $0[0], targets, T, V, Double(scale))
    }
    // float32 logits, and the gradient in the first half of each of their rows.
    let wide = Self.numbers(T * V, seed: 2, range: 8)
    var (rows, losses) = (wide, unset)
    rows.withUnsafeMutableBytes {
      half.crossEntropyGradient(
        &losses, $0.baseAddress!.assumingMemoryBound(to: UInt16.self), Int64(2 * V),
        $0.baseAddress!.assumingMemoryBound(to: Float.self), targets, Int64(T), Int64(V), scale)
    }
    var (expected, expectedLosses) = (wide.doubles, unset.doubles)
    Reference<Double>.crossEntropyBackward(&expectedLosses, &expected, targets, T, V, Double(scale))
    Self.expectClose("losses", losses, expectedLosses, tolerance)
    let patterns = rows.withUnsafeBytes { Array($0.bindMemory(to: UInt16.self)) }
    let gradient = (0..<T).flatMap { patterns[$0 * 2 * V..<($0 * 2 + 1) * V] }
    let rounding = Tolerance(
      absolute: tolerance.absolute + half.format.smallest, relative: 1e-5 + half.format.epsilon / 2)
    Self.expectClose("gradient", half.widen(gradient), expected, rounding)
  }

  @Test(arguments: HalfKernels.all, attentionCases)
  func halfAttention(_ half: HalfKernels, _ sizes: AttentionCase) {
    let (c, s) = sizes.shapes
    let T = s.batch * s.S
    let q = Self.halves(half, T * s.qStride, seed: 1, range: 2)
    let k = Self.halves(half, T * s.kStride, seed: 2, range: 2)
    let v = Self.halves(half, T * s.vStride, seed: 3)
    let gradient = Self.halves(half, T * s.doStride, seed: 4)
    let unset = { (stride: Int) in half.round([Float](repeating: 9, count: T * stride)) }
    let statistics = [Float](repeating: 9, count: T * s.Hq)
    Self.compare("attention", half, [unset(s.oStride)], [statistics], within: Self.attended) { h, f in
      var (shape, scratch) = (c, sizes.scratch(backward: false))
      half.attentionForward(&shape, h[0], f[0], q, k, v, &scratch)
    } reference: {
      Reference<Double>.attentionForward(
        s, $0[0], $0[1], half.doubles(q), half.doubles(k), half.doubles(v))
    }
    var (o, lse) = ([Double](repeating: 0, count: T * s.oStride), [Double](repeating: 0, count: T * s.Hq))
    Reference<Double>.attentionForward(s, &o, &lse, half.doubles(q), half.doubles(k), half.doubles(v))
    let saved = half.round(o.map { Float($0) })
    let savedLSE = lse.map { Float($0) }
    let outputs = [unset(s.dqStride), unset(s.dkStride), unset(s.dvStride)]
    Self.compare("attention backward", half, outputs, [statistics], within: Self.attended) { h, f in
      var (shape, scratch) = (c, sizes.scratch(backward: true))
      half.attentionBackward(
        &shape, h[0], h[1], h[2], gradient, saved, savedLSE, f[0], q, k, v, &scratch)
    } reference: {
      Reference<Double>.attentionBackward(
        s, $0[0], $0[1], $0[2], half.doubles(gradient), half.doubles(saved), savedLSE.doubles, $0[3],
        half.doubles(q), half.doubles(k), half.doubles(v))
    }
  }

  @Test(arguments: HalfKernels.all, [[1, 0], [3, 130], [70, 131]])
  func halfAttentionCached(_ half: HalfKernels, _ rowsAndStart: [Int]) {
    let (rows, start) = (rowsAndStart[0], rowsAndStart[1])
    let sizes = AttentionCase(1, rows, 4, 2, 34)
    let (c, s) = sizes.shapes
    let width = s.Hkv * s.headSize
    let q = Self.halves(half, rows * s.qStride, seed: 1, range: 2)
    let k = Self.halves(half, rows * s.kStride, seed: 2, range: 2)
    let v = Self.halves(half, rows * s.vStride, seed: 3)
    let caches = [4, 5].map { Self.halves(half, (start + rows + 2) * width, seed: $0, range: 2) }
    let unset = half.round([Float](repeating: 9, count: rows * s.oStride))
    Self.compare("cached attention", half, [unset] + caches, within: Self.attended) { h, _ in
      var (shape, scratch) = (c, sizes.scratch(backward: false))
      half.attentionCached(&shape, h[0], q, k, v, h[1], h[2], Int64(start), &scratch)
    } reference: {
      Reference<Double>.attentionCached(
        s, $0[0], half.doubles(q), half.doubles(k), half.doubles(v), $0[1], $0[2], start)
    }
  }
}
