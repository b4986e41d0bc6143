import ApusReference
import CApusKernels
import Testing

/// A fused kernel gives the bits of its sequence, on any number of threads: a pass may fuse without changing
/// a loss.
extension KernelTests {
  static let fusedShapes = [(1, 1), (5, 7), (37, 64), (300, 129), (61, 768), (600, 70), (3, 4_200)]

  private static func random<E: KernelElement>(
    _ type: E.Type, _ n: Int, _ seed: UInt64, range: Float = 2
  ) -> [E] {
    E.rounded(numbers(n, seed: seed, range: range))
  }

  private static func addAndNorms<E: KernelElement>(_ type: E.Type, _ T: Int, _ D: Int) {
    let k = E.kernels
    let (rows, width) = (Int64(T), Int64(D))
    let (a, c) = (random(type, T * D, 1), random(type, T * D, 2))
    let (w, b) = (random(type, D, 3), random(type, D, 4))
    let zero = E.rounded([Float](repeating: 0, count: T * D))
    var (sum, y, dx) = (zero, zero, zero)
    var (mean, rstd) = ([Float](repeating: 0, count: T), [Float](repeating: 0, count: T))
    var (fusedSum, fusedY, fusedMean, fusedRstd) = (a, zero, mean, rstd)
    let (dy, passed) = (random(type, T * D, 5), random(type, T * D, 6))

    k.add(&sum, a, c, rows * width)
    k.layernormForward(&y, &mean, &rstd, sum, w, b, rows, width, 1e-5)
    // The sum may replace the first term.
    fusedSum.withUnsafeMutableBufferPointer {
      k.addLayernormForward(
        $0.baseAddress, &fusedY, &fusedMean, &fusedRstd, $0.baseAddress, c, w, b, rows, width, 1e-5)
    }
    #expect(fusedSum == sum && fusedY == y && fusedMean == mean && fusedRstd == rstd, "layernorm \(type)")
    dx = passed
    k.layernormBackward(&dx, dy, sum, w, mean, rstd, rows, width, 1)
    var fused = zero
    k.addLayernormBackward(&fused, passed, dy, sum, w, mean, rstd, rows, width)
    #expect(fused == dx, "layernorm backward \(type)")

    k.rmsnormForward(&y, &rstd, sum, w, rows, width, 1e-5)
    k.addRMSNormForward(&fusedSum, &fusedY, &fusedRstd, a, c, w, rows, width, 1e-5)
    #expect(fusedSum == sum && fusedY == y && fusedRstd == rstd, "rmsnorm \(type)")
    dx = passed
    k.rmsnormBackward(&dx, dy, sum, w, rstd, rows, width, 1)
    k.addRMSNormBackward(&fused, passed, dy, sum, w, rstd, rows, width)
    #expect(fused == dx, "rmsnorm backward \(type)")
  }

  private static func biasAndGELU<E: KernelElement>(_ type: E.Type, _ T: Int, _ N: Int) {
    let k = E.kernels
    let (rows, width) = (Int64(T), Int64(N))
    let (x, bias, dy) = (random(type, T * N, 1), random(type, N, 2), random(type, T * N, 3))
    let zero = E.rounded([Float](repeating: 0, count: T * N))
    var (shifted, y, dx) = (zero, zero, zero)
    k.addBias(&shifted, x, bias, rows, width)
    k.geluForward(&y, shifted, rows * width)
    var fused = zero
    k.biasGELUForward(&fused, x, bias, rows, width)
    #expect(fused == y, "bias + GELU \(type)")
    for accumulate: Int32 in [0, 1] {
      var sum = numbers(N, seed: 4)
      var fusedSum = sum
      k.geluBackward(&dx, dy, shifted, rows * width, 0)
      k.columnSum(&sum, dx, rows, width, width, accumulate)
      k.biasGELUBackward(&fused, &fusedSum, dy, x, bias, rows, width, accumulate)
      #expect(fused == dx && fusedSum == sum, "bias + GELU backward \(type)")
    }
  }

  private static func dropoutAndAdd<E: KernelElement>(_ type: E.Type, _ T: Int, _ D: Int) {
    let k = E.kernels
    let (x, residual) = (random(type, T * D, 1), random(type, T * D, 2))
    var draw = apus_dropout(
      seed: 7, step: 3, site: 5, first_row: 11, first_column: 3, width: Int64(D + 9), probability: 0.3)
    let zero = E.rounded([Float](repeating: 0, count: T * D))
    var (dropped, sum, fused, backward) = (zero, zero, zero, residual)
    k.dropoutForward(&dropped, x, Int64(T), Int64(D), &draw)
    k.add(&sum, residual, dropped, Int64(T * D))
    k.dropoutAdd(&fused, residual, x, Int64(T), Int64(D), &draw)
    #expect(fused == sum, "dropout + add \(type)")
    k.dropoutBackward(&backward, x, Int64(T), Int64(D), &draw, 1)
    #expect(backward == sum, "backward is the same map \(type)")
  }

  @Test(arguments: fusedShapes)
  func fusedKernelsEqualTheirSequences(_ T: Int, _ D: Int) {
    for threads: Int32 in [1, 2, 3] {
      apus_set_thread_count(threads)
      Self.addAndNorms(Float.self, T, D)
      Self.addAndNorms(UInt16.self, T, D)
      Self.biasAndGELU(Float.self, T, D)
      Self.biasAndGELU(UInt16.self, T, D)
      Self.dropoutAndAdd(Float.self, T, D)
      Self.dropoutAndAdd(UInt16.self, T, D)
    }
  }

  @Test(arguments: [(1, 1, 0), (3, 67, 5), (37, 1100, 63), (300, 130, 1)])
  func dropoutFollowsTheReference(_ T: Int, _ D: Int, _ column: Int) {
    let x = Self.numbers(T * D, seed: 1)
    let draw = DropoutDraw(
      seed: 0x1234_5678_9abc_def0, step: 9, site: 4, firstRow: 1 << 30, firstColumn: column, width: D + 70,
      probability: 0.2)
    var c = apus_dropout(
      seed: draw.seed, step: draw.step, site: draw.site, first_row: Int64(draw.firstRow),
      first_column: Int64(column), width: Int64(draw.width), probability: draw.probability)
    for accumulate in [false, true] {
      Self.compare("dropout", [Self.numbers(T * D, seed: 2)], within: Self.slopes) {
        apus_dropout_backward_f32($0[0], x, Int64(T), Int64(D), &c, accumulate ? 1 : 0)
      } reference: {
        Reference<Double>.dropout($0[0], x.doubles, T, D, draw, accumulate)
      }
    }
  }

  /// A part of a tensor, drawn alone, drops what the whole tensor drops there; another step or site does not.
  @Test func dropoutDoesNotDependOnTheLayout() {
    let (T, D) = (40, 256)
    let ones = [Float](repeating: 1, count: T * D)
    func drop(_ rows: Range<Int>, _ columns: Range<Int>, step: UInt32 = 1, site: UInt32 = 2) -> [Float] {
      var draw = apus_dropout(
        seed: 42, step: step, site: site, first_row: Int64(rows.lowerBound),
        first_column: Int64(columns.lowerBound), width: Int64(D), probability: 0.25)
      var out = [Float](repeating: 9, count: rows.count * columns.count)
      apus_dropout_forward_f32(&out, ones, Int64(rows.count), Int64(columns.count), &draw)
      return out
    }
    let whole = drop(0..<T, 0..<D)
    let part = drop(7..<29, 50..<181)
    for row in 0..<22 {
      #expect(part[row * 131..<(row + 1) * 131] == whole[(row + 7) * D + 50..<(row + 7) * D + 181])
    }
    #expect(drop(0..<T, 0..<D, step: 2) != whole && drop(0..<T, 0..<D, site: 3) != whole)
    // 10,240 draws: the share of dropped elements within four deviations of a quarter.
    let share = Double(whole.count { $0 == 0 }) / Double(whole.count)
    #expect(abs(share - 0.25) < 4 * (0.25 * 0.75 / Double(whole.count)).squareRoot())
    #expect(whole.allSatisfy { $0 == 0 || $0 == 1 / 0.75 })
  }

  @Test func dropoutOfNothingKeepsAll() {
    var draw = apus_dropout(
      seed: 1, step: 1, site: 1, first_row: 0, first_column: 0, width: 70, probability: 0)
    let x = Self.numbers(70, seed: 1)
    var out = x.map { _ in Float(9) }
    apus_dropout_forward_f32(&out, x, 1, 70, &draw)
    #expect(out == x)
  }
}
