import ApusReference
import CApusKernels
import Testing

extension KernelTests {
  static let fewUlp = Tolerance(absolute: 1e-37, relative: 8e-7)
  static let slopes = Tolerance(absolute: 4e-7, relative: 2e-6)

  @Test(arguments: [1, 67, 40_001])
  func gelu(_ n: Int) {
    let x = Self.numbers(n, seed: 1, range: 6)
    let dy = Self.numbers(n, seed: 2)
    // The reference subtracts tanh from 1: in Double that costs digits only below x = -5.
    let tolerance = Tolerance(absolute: 1e-14, relative: 2e-6)
    Self.compare("gelu", [dy], within: tolerance) {
      apus_gelu_forward_f32($0[0], x, Int64(n))
    } reference: {
      Reference<Double>.geluForward($0[0], x.doubles, n)
    }
    Self.compare("gelu in place", [x], within: tolerance) {
      apus_gelu_forward_f32($0[0], $0[0], Int64(n))
    } reference: {
      Reference<Double>.geluForward($0[0], $0[0], n)
    }
    for accumulate in [false, true] {
      Self.compare("gelu backward", [Self.numbers(n, seed: 3)], within: Self.slopes) {
        apus_gelu_backward_f32($0[0], dy, x, Int64(n), accumulate ? 1 : 0)
      } reference: {
        Reference<Double>.geluBackward($0[0], dy.doubles, x.doubles, n, accumulate)
      }
      Self.compare("gelu backward in place", [dy], within: Self.slopes) {
        apus_gelu_backward_f32($0[0], $0[0], x, Int64(n), accumulate ? 1 : 0)
      } reference: {
        Reference<Double>.geluBackward($0[0], $0[0], x.doubles, n, accumulate)
      }
    }
  }

  @Test(arguments: [(1, 1), (7, 33), (301, 130)])
  func swiglu(_ T: Int, _ F: Int) {
    let gateUp = Self.numbers(T * 2 * F, seed: 1, range: 8)
    let dy = Self.numbers(T * F, seed: 2)
    Self.compare("swiglu", [dy], within: Self.fewUlp) {
      apus_swiglu_forward_f32($0[0], gateUp, Int64(T), Int64(F))
    } reference: {
      Reference<Double>.swigluForward($0[0], gateUp.doubles, T, F)
    }
    for accumulate in [false, true] {
      let tolerance = Tolerance(absolute: 4e-6, relative: 2e-6)
      Self.compare("swiglu backward", [Self.numbers(T * 2 * F, seed: 3)], within: tolerance) {
        apus_swiglu_backward_f32($0[0], dy, gateUp, Int64(T), Int64(F), accumulate ? 1 : 0)
      } reference: {
        Reference<Double>.swigluBackward($0[0], dy.doubles, gateUp.doubles, T, F, accumulate)
      }
    }
  }

  @Test(arguments: [1, 67, 40_001])
  func addAndCopy(_ n: Int) {
    let (a, b) = (Self.numbers(n, seed: 1), Self.numbers(n, seed: 2))
    Self.compare("add", [a], within: Self.exactSum) {
      apus_add_f32($0[0], a, b, Int64(n))
    } reference: {
      Reference<Double>.add($0[0], a.doubles, b.doubles, n)
    }
    Self.compare("add to the first", [a], within: Self.exactSum) {
      apus_add_f32($0[0], $0[0], b, Int64(n))
    } reference: {
      Reference<Double>.add($0[0], $0[0], b.doubles, n)
    }
    for accumulate in [false, true] {
      Self.compare("copy", [a], within: Self.exactSum) {
        apus_copy_f32($0[0], b, Int64(n), accumulate ? 1 : 0)
      } reference: {
        Reference<Double>.copy($0[0], b.doubles, n, accumulate)
      }
    }
  }

  @Test(arguments: [(1, 1, 3), (300, 129, 131), (131, 64, 64)])
  func columnSum(_ T: Int, _ N: Int, _ stride: Int) {
    let x = Self.numbers(T * stride, seed: 1)
    for accumulate in [false, true] {
      Self.compare("column sum", [Self.numbers(N, seed: 2)], within: Self.exactSum) {
        apus_column_sum_f32($0[0], x, Int64(T), Int64(N), Int64(stride), accumulate ? 1 : 0)
      } reference: {
        Reference<Double>.columnSum($0[0], x.doubles, T, N, stride, accumulate)
      }
    }
  }

  @Test("Far arguments saturate, NaN stays NaN")
  func extremes() {
    let x: [Float] = [-1e30, -200, -89, 89, 200, 1e30, .nan, .infinity]
    var y = x
    apus_gelu_forward_f32(&y, x, 8)
    #expect(y[0] == 0 && y[1] == 0 && y[4] == 200 && y[5] == 1e30)
    #expect(y[6].isNaN && y[7] == .infinity)
    let ones = [Float](repeating: 1, count: 8)
    apus_gelu_backward_f32(&y, ones, x, 8, 0)
    #expect(abs(y[0]) < 1e-30 && abs(y[1]) < 1e-30 && y[4] == 1 && y[5] == 1)
    #expect(y[6].isNaN)
    apus_swiglu_forward_f32(&y, x, 2, 2)
    #expect(y[0] == 0 && y[1] == 0 && y[2].isNaN)
  }
}
