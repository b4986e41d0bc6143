import ApusReference
import CApusKernels
import Testing

extension KernelTests {
  static let exactSum = Tolerance(absolute: 1e-5, relative: 1e-6)

  @Test(arguments: [(7, 5), (131, 67), (300, 130)])
  func embedding(_ T: Int, _ D: Int) {
    let V = 23
    let table = Self.numbers(V * D, seed: 1)
    let gradient = Self.numbers(T * D, seed: 2)
    let ids = (0..<T).map { Int32($0 * $0 % V) }
    Self.compare(
      "embedding forward", [Self.numbers(T * D, seed: 3)], within: Tolerance(absolute: 0, relative: 0)
    ) {
      apus_embedding_forward_f32($0[0], table, ids, Int64(T), Int64(D))
    } reference: {
      Reference<Double>.embeddingForward($0[0], table.doubles, ids, T, D)
    }
    for accumulate in [false, true] {
      Self.compare("embedding backward", [Self.numbers(V * D, seed: 4)], within: Self.exactSum) {
        apus_embedding_backward_f32($0[0], gradient, ids, Int64(T), Int64(D), Int64(V), accumulate ? 1 : 0)
      } reference: {
        Reference<Double>.embeddingBackward($0[0], gradient.doubles, ids, T, D, V, accumulate)
      }
    }
  }

  @Test(arguments: [(21, 5, 7), (390, 67, 130)])
  func position(_ T: Int, _ D: Int, _ S: Int) {
    let P = S + 4
    let table = Self.numbers(P * D, seed: 1)
    let x = Self.numbers(T * D, seed: 2)
    Self.compare("position forward", [Self.numbers(T * D, seed: 3)], within: Self.exactSum) {
      apus_position_forward_f32($0[0], x, table, Int64(T), Int64(D), Int64(S), 3)
    } reference: {
      Reference<Double>.positionForward($0[0], x.doubles, table.doubles, T, D, S, 3)
    }
    Self.compare("position forward in place", [x], within: Self.exactSum) {
      apus_position_forward_f32($0[0], $0[0], table, Int64(T), Int64(D), Int64(S), 0)
    } reference: {
      Reference<Double>.positionForward($0[0], $0[0], table.doubles, T, D, S, 0)
    }
    for accumulate in [false, true] {
      Self.compare("position backward", [Self.numbers(P * D, seed: 4)], within: Self.exactSum) {
        apus_position_backward_f32($0[0], x, Int64(T), Int64(D), Int64(S), Int64(P), accumulate ? 1 : 0)
      } reference: {
        Reference<Double>.positionBackward($0[0], x.doubles, T, D, S, P, accumulate)
      }
    }
  }
}
