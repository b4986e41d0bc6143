import ApusReference
import CApusKernels
import Testing

extension KernelTests {
  @Test(arguments: [1, 67, 40_001])
  func adamw(_ n: Int) {
    let gradient = Self.numbers(n, seed: 1)
    let initial = [
      Self.numbers(n, seed: 2), Self.numbers(n, seed: 3, range: 0.1),
      Self.numbers(n, seed: 4, range: 0.1).map(abs),
    ]
    Self.compare("adamw", initial, within: Tolerance(absolute: 1e-7, relative: 1e-6)) {
      apus_adamw(
        nil, APUS_F32, $0[0], $0[1], $0[2], gradient, APUS_F32, Int64(n), 0.0078125, 0.875, 0.984375, 1e-8,
        0.125, 0.5, 0.25, 0.75)
    } reference: {
      Reference<Double>.adamw(
        $0[0], $0[1], $0[2], gradient.doubles, n, 0.0078125, 0.875, 0.984375, 1e-8, 0.125, 0.5, 0.25, 0.75)
    }
  }

  @Test(arguments: [0, 1, 67, 200_003])
  func sumOfSquares(_ n: Int) {
    let x = Self.numbers(n, seed: 1)
    let sums = [1, 2, 3].map { threads in
      apus_set_thread_count(Int32(threads))
      return apus_sum_of_squares_f32(x, Int64(n))
    }
    #expect(sums[0] == sums[1] && sums[0] == sums[2])
    let expected = Reference<Double>.sumOfSquares(x.doubles, n)
    #expect(abs(sums[0] - expected) <= 1e-12 * expected)
  }

  @Test("A non-finite gradient shows in the norm")
  func sumOfSquaresNonFinite() {
    #expect(apus_sum_of_squares_f32([1, .nan, 2], 3).isNaN)
    #expect(apus_sum_of_squares_f32([1, .infinity, 2], 3) == .infinity)
  }
}
