import ApusReference
import CApusKernels
import Testing

extension KernelTests {
  static let normShapes = [(1, 1), (5, 7), (37, 64), (300, 129), (259, 200)]
  static let normed = Tolerance(absolute: 3e-5, relative: 1e-5)

  @Test(arguments: normShapes)
  func layernorm(_ T: Int, _ D: Int) {
    let x = Self.numbers(T * D, seed: 1, range: 3)
    let dy = Self.numbers(T * D, seed: 2)
    let (w, b) = (Self.numbers(D, seed: 3), Self.numbers(D, seed: 4))
    let (rows, size) = (Int64(T), Int64(D))
    let state = [Float](repeating: 0, count: T)
    Self.compare("layernorm", [x, state, state], within: Self.normed) {
      apus_layernorm_forward_f32($0[0], $0[1], $0[2], x, w, b, rows, size, 1e-2)
    } reference: {
      Reference<Double>.layernormForward(
        $0[0], $0[1], $0[2], x.doubles, w.doubles, b.doubles, T, D, Double(Float(1e-2)))
    }
    Self.compare("layernorm in place", [x, state, state], within: Self.normed) {
      apus_layernorm_forward_f32($0[0], $0[1], $0[2], $0[0], w, b, rows, size, 1e-2)
    } reference: {
      Reference<Double>.layernormForward(
        $0[0], $0[1], $0[2], $0[0], w.doubles, b.doubles, T, D, Double(Float(1e-2)))
    }
    let mean = Self.numbers(T, seed: 5)
    let rstd = Self.numbers(T, seed: 6).map { $0 + 1.5 }
    for accumulate in [false, true] {
      Self.compare("layernorm backward", [Self.numbers(T * D, seed: 7)], within: Self.normed) {
        apus_layernorm_backward_f32($0[0], dy, x, w, mean, rstd, rows, size, accumulate ? 1 : 0)
      } reference: {
        Reference<Double>.layernormBackward(
          $0[0], dy.doubles, x.doubles, w.doubles, mean.doubles, rstd.doubles, T, D, accumulate)
      }
      Self.compare("layernorm backward in place", [dy], within: Self.normed) {
        apus_layernorm_backward_f32($0[0], $0[0], x, w, mean, rstd, rows, size, accumulate ? 1 : 0)
      } reference: {
        Reference<Double>.layernormBackward(
          $0[0], $0[0], x.doubles, w.doubles, mean.doubles, rstd.doubles, T, D, accumulate)
      }
      let weights = [Self.numbers(D, seed: 8), Self.numbers(D, seed: 9)]
      Self.compare("layernorm weights", weights, within: Self.normed) {
        apus_layernorm_backward_weights_f32(
          $0[0], $0[1], dy, x, mean, rstd, rows, size, accumulate ? 1 : 0, accumulate ? 0 : 1)
      } reference: {
        Reference<Double>.layernormBackwardWeights(
          $0[0], $0[1], dy.doubles, x.doubles, mean.doubles, rstd.doubles, T, D, accumulate, !accumulate)
      }
    }
  }

  @Test(arguments: normShapes)
  func rmsnorm(_ T: Int, _ D: Int) {
    let x = Self.numbers(T * D, seed: 1, range: 3)
    let dy = Self.numbers(T * D, seed: 2)
    let w = Self.numbers(D, seed: 3)
    let (rows, size) = (Int64(T), Int64(D))
    let state = [Float](repeating: 0, count: T)
    Self.compare("rmsnorm", [x, state], within: Self.normed) {
      apus_rmsnorm_forward_f32($0[0], $0[1], x, w, rows, size, 1e-2)
    } reference: {
      Reference<Double>.rmsnormForward($0[0], $0[1], x.doubles, w.doubles, T, D, Double(Float(1e-2)))
    }
    Self.compare("rmsnorm in place", [x, state], within: Self.normed) {
      apus_rmsnorm_forward_f32($0[0], $0[1], $0[0], w, rows, size, 1e-2)
    } reference: {
      Reference<Double>.rmsnormForward($0[0], $0[1], $0[0], w.doubles, T, D, Double(Float(1e-2)))
    }
    let rstd = Self.numbers(T, seed: 6).map { $0 + 1.5 }
    for accumulate in [false, true] {
      Self.compare("rmsnorm backward", [Self.numbers(T * D, seed: 7)], within: Self.normed) {
        apus_rmsnorm_backward_f32($0[0], dy, x, w, rstd, rows, size, accumulate ? 1 : 0)
      } reference: {
        Reference<Double>.rmsnormBackward(
          $0[0], dy.doubles, x.doubles, w.doubles, rstd.doubles, T, D, accumulate)
      }
      Self.compare("rmsnorm weights", [Self.numbers(D, seed: 8)], within: Self.normed) {
        apus_rmsnorm_backward_weights_f32($0[0], dy, x, rstd, rows, size, accumulate ? 1 : 0)
      } reference: {
        Reference<Double>.rmsnormBackwardWeights(
          $0[0], dy.doubles, x.doubles, rstd.doubles, T, D, accumulate)
      }
    }
  }

  @Test("The mean of large, close numbers does not drown the variance")
  func layernormOffset() {
    let x = Self.numbers(96, seed: 1).map { $0 + 1000 }
    let ones = [Float](repeating: 1, count: 96)
    let zeros = [Float](repeating: 0, count: 96)
    Self.compare("layernorm far from zero", [x, [0], [0]], within: Tolerance(absolute: 1e-3, relative: 0)) {
      apus_layernorm_forward_f32($0[0], $0[1], $0[2], x, ones, zeros, 1, 96, 1e-5)
    } reference: {
      Reference<Double>.layernormForward(
        $0[0], $0[1], $0[2], x.doubles, ones.doubles, zeros.doubles, 1, 96, 1e-5)
    }
  }
}
