import ApusReference
import CApusKernels
import Testing

/// The 16-bit forms of elementwise kernels, rotary embedding, embeddings, copies and optimizer.
extension KernelTests {
  static let exact = Tolerance(absolute: 0, relative: 0)

  @Test(arguments: HalfKernels.all, [1, 67, 40_001])
  func halfGELU(_ half: HalfKernels, _ n: Int) {
    let x = Self.halves(half, n, seed: 1, range: 6)
    let dy = Self.halves(half, n, seed: 2)
    let tolerance = Tolerance(absolute: 1e-14, relative: 2e-6)
    Self.compare("gelu in place", half, [x], within: tolerance) { h, _ in
      half.geluForward(h[0], h[0], Int64(n))
    } reference: {
      Reference<Double>.geluForward($0[0], $0[0], n)
    }
    for accumulate in [false, true] {
      let start = Self.halves(half, n, seed: 3)
      Self.compare("gelu backward", half, [start], within: Self.slopes) { h, _ in
        half.geluBackward(h[0], dy, x, Int64(n), accumulate ? 1 : 0)
      } reference: {
        Reference<Double>.geluBackward($0[0], half.doubles(dy), half.doubles(x), n, accumulate)
      }
    }
  }

  @Test(arguments: HalfKernels.all, [[1, 1], [7, 33], [301, 130]])
  func halfSwiGLU(_ half: HalfKernels, _ size: [Int]) {
    let (T, F) = (size[0], size[1])
    let gateUp = Self.halves(half, T * 2 * F, seed: 1, range: 8)
    let dy = Self.halves(half, T * F, seed: 2)
    Self.compare("swiglu", half, [dy], within: Self.fewUlp) { h, _ in
      half.swigluForward(h[0], gateUp, Int64(T), Int64(F))
    } reference: {
      Reference<Double>.swigluForward($0[0], half.doubles(gateUp), T, F)
    }
    for accumulate in [false, true] {
      let start = Self.halves(half, T * 2 * F, seed: 3)
      let tolerance = Tolerance(absolute: 4e-6, relative: 2e-6)
      Self.compare("swiglu backward", half, [start], within: tolerance) { h, _ in
        half.swigluBackward(h[0], dy, gateUp, Int64(T), Int64(F), accumulate ? 1 : 0)
      } reference: {
        Reference<Double>.swigluBackward($0[0], half.doubles(dy), half.doubles(gateUp), T, F, accumulate)
      }
    }
  }

  @Test(arguments: HalfKernels.all, [1, 67, 200_003])
  func halfCopyAndAdd(_ half: HalfKernels, _ n: Int) {
    let (a, b) = (Self.halves(half, n, seed: 1), Self.halves(half, n, seed: 2))
    let wide = Self.numbers(n, seed: 3)
    Self.compare("add", half, [a], within: Self.exact) { h, _ in
      half.add(h[0], h[0], b, Int64(n))
    } reference: {
      Reference<Double>.add($0[0], $0[0], half.doubles(b), n)
    }
    for accumulate in [false, true] {
      let flag: Int32 = accumulate ? 1 : 0
      let rounded = Tolerance(absolute: 1e-7, relative: 0)
      Self.compare("copy", half, [a], within: Self.exact) { h, _ in
        half.copy(h[0], b, Int64(n), flag)
      } reference: {
        Reference<Double>.copy($0[0], half.doubles(b), n, accumulate)
      }
      Self.compare("copy from float", half, [a], within: accumulate ? rounded : Self.exact) { h, _ in
        half.copyFromFloat(h[0], wide, Int64(n), flag)
      } reference: {
        Reference<Double>.copy($0[0], wide.doubles, n, accumulate)
      }
      Self.compare("copy to float", half, [], [wide], within: rounded) { _, f in
        half.copyToFloat(f[0], b, Int64(n), flag)
      } reference: {
        Reference<Double>.copy($0[0], half.doubles(b), n, accumulate)
      }
    }
  }

  @Test(arguments: HalfKernels.all)
  func halfRotary(_ half: HalfKernels) {
    let (T, width, heads, headSize, S, start) = (37, 50, 3, 14, 9, 2)
    let x = Self.halves(half, T * width, seed: 1, range: 2)
    let angles = Self.numbers(11 * headSize / 2, seed: 2, range: 3)
    let (cosines, sines) = (angles.map { $0 / 3 }, angles.map { 1 - abs($0) / 3 })
    for direction in [1, -1] {
      Self.compare("rotary in place", half, [x], within: Tolerance(absolute: 1e-6, relative: 0)) { h, _ in
        half.rotary(
          h[0], h[0], cosines, sines, Int64(T), Int64(width), Int64(heads), Int64(headSize), Int64(S),
          Int64(start), Int32(direction))
      } reference: {
        Reference<Double>.rotary(
          $0[0], half.doubles(x), cosines.doubles, sines.doubles, T, width, heads, headSize, S, start,
          direction)
      }
    }
  }

  /// Ids repeat often and there are more tokens than one sorted piece holds.
  @Test(arguments: HalfKernels.all)
  func halfEmbedding(_ half: HalfKernels) {
    let (T, D, V, S, P) = (4_100, 70, 11, 41, 50)
    let ids = (0..<T).map { Int32($0 * $0 % V) }
    let table = Self.halves(half, V * D, seed: 1)
    let positions = Self.halves(half, P * D, seed: 2)
    let dout = Self.halves(half, T * D, seed: 3)
    let unset = [UInt16](repeating: 9, count: T * D)
    Self.compare("embedding", half, [unset], within: Self.exact) { h, _ in
      half.embeddingForward(h[0], table, ids, Int64(T), Int64(D))
    } reference: {
      Reference<Double>.embeddingForward($0[0], half.doubles(table), ids, T, D)
    }
    Self.compare("position in place", half, [dout], within: Self.exact) { h, _ in
      half.positionForward(h[0], h[0], positions, Int64(T), Int64(D), Int64(S), 7)
    } reference: {
      Reference<Double>.positionForward($0[0], $0[0], half.doubles(positions), T, D, S, 7)
    }
    for accumulate in [false, true] {
      let flag: Int32 = accumulate ? 1 : 0
      // Sums of 370 terms of up to 1, in float32; the 16-bit table is rounded twice.
      let wide = Tolerance(absolute: 2e-4, relative: 0)
      let narrow = Tolerance(absolute: 2e-4 + 30 * half.format.epsilon, relative: 0)
      Self.compare("embedding gradient", half, [], [Self.numbers(V * D, seed: 4)], within: wide) { _, f in
        half.embeddingBackward(f[0], dout, ids, Int64(T), Int64(D), Int64(V), flag)
      } reference: {
        Reference<Double>.embeddingBackward($0[0], half.doubles(dout), ids, T, D, V, accumulate)
      }
      Self.compare("16-bit embedding gradient", half, [table], within: narrow) { h, _ in
        half.embeddingBackwardHalf(h[0], dout, ids, Int64(T), Int64(D), Int64(V), flag)
      } reference: {
        Reference<Double>.embeddingBackward($0[0], half.doubles(dout), ids, T, D, V, accumulate)
      }
      Self.compare("16-bit position gradient", half, [positions], within: wide) { h, _ in
        half.positionBackwardHalf(h[0], dout, Int64(T), Int64(D), Int64(S), Int64(P), flag)
      } reference: {
        Reference<Double>.positionBackward($0[0], half.doubles(dout), T, D, S, P, accumulate)
      }
    }
  }

  /// One pass equals widening the gradient, the float32 kernel and rounding, bit for bit.
  @Test(arguments: HalfKernels.all, [1, 67, 40_001])
  func halfAdamW(_ half: HalfKernels, _ n: Int) {
    let narrow = Self.halves(half, n, seed: 1)
    let gradient = half.widen(narrow)
    let initial = [
      Self.numbers(n, seed: 2), Self.numbers(n, seed: 3, range: 0.1),
      Self.numbers(n, seed: 4, range: 0.1).map(abs),
    ]
    var (p, m, v) = (initial[0], initial[1], initial[2])
    apus_adamw(
      nil, APUS_F32, &p, &m, &v, gradient, APUS_F32, Int64(n), 0.01, 0.9, 0.95, 1e-8, 0.1, 0.5, 0.25, 0.75)
    for type in [half.type, APUS_F32] {
      var (master, mean, square) = (initial[0], initial[1], initial[2])
      var weights = [UInt16](repeating: 0, count: n)
      if type == APUS_F32 {
        apus_adamw(
          &weights, half.type, &master, &mean, &square, gradient, type, Int64(n), 0.01, 0.9, 0.95, 1e-8, 0.1,
          0.5, 0.25, 0.75)
      } else {
        apus_adamw(
          &weights, half.type, &master, &mean, &square, narrow, type, Int64(n), 0.01, 0.9, 0.95, 1e-8, 0.1,
          0.5, 0.25, 0.75)
      }
      #expect(master == p && mean == m && square == v)
      #expect(weights == half.round(p))
    }
  }

  /// An update far below a weight's last bf16 place is lost without a master weight and kept with one.
  @Test func masterWeightsKeepSmallUpdates() {
    let half = HalfKernels.bf16
    var (master, m, v): ([Float], [Float], [Float]) = ([1], [0], [0])
    var weight = half.round(master)
    for _ in 0..<100 {
      apus_adamw(
        &weight, half.type, &master, &m, &v, [1] as [Float], APUS_F32, 1, 1e-4, 0, 0, 0, 0, 1, 1, 1)
    }
    #expect(abs(master[0] - 0.99) < 1e-5)
    #expect(half.widen(weight) == half.widen(half.round([0.99])))
    #expect(half.round([1 - 1e-4]) == half.round([1]))
  }

  @Test(arguments: HalfKernels.all, [1, 67, 200_003])
  func halfSumOfSquares(_ half: HalfKernels, _ n: Int) {
    let x = Self.halves(half, n, seed: 1)
    let sums = [1, 2, 3].map { threads in
      apus_set_thread_count(Int32(threads))
      return half.sumOfSquares(x, Int64(n))
    }
    #expect(sums[0] == sums[1] && sums[0] == sums[2])
    #expect(sums[0] == apus_sum_of_squares_f32(half.widen(x), Int64(n)))
    #expect(abs(sums[0] - Reference<Double>.sumOfSquares(half.doubles(x), n)) <= 1e-12 * sums[0])
    #expect(half.sumOfSquares(half.round([1, .nan, 2]), 3).isNaN)
    #expect(half.sumOfSquares(half.round([1, .infinity]), 2) == .infinity)
  }
}
