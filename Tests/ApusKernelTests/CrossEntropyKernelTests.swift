import ApusReference
import CApusKernels
import Testing

extension KernelTests {
  @Test(arguments: [(5, 3), (9, 64), (7, 1003), (40, 517)])
  func crossEntropy(_ T: Int, _ V: Int) {
    let logits = Self.numbers(T * V, seed: 1, range: 12)
    let targets = (0..<T).map { $0 % 4 == 1 ? Int32(-1) : Int32($0 * 31 % V) }
    let tolerance = Tolerance(absolute: 3e-6, relative: 2e-6)
    let unset = [Float](repeating: 7, count: T)
    Self.compare("cross entropy", [unset], within: tolerance) {
      apus_cross_entropy_forward_f32($0[0], logits, targets, Int64(T), Int64(V))
    } reference: {
      Reference<Double>.crossEntropyForward($0[0], logits.doubles, targets, T, V)
    }
    Self.compare("cross entropy backward", [unset, logits], within: tolerance) {
      apus_cross_entropy_backward_f32($0[0], $0[1], targets, Int64(T), Int64(V), 0.25)
    } reference: {
      Reference<Double>.crossEntropyBackward($0[0], $0[1], targets, T, V, 0.25)
    }
  }

  @Test("Huge logits do not overflow, minus infinity is no mass, NaN shows in the loss")
  func crossEntropyExtremes() {
    var losses: [Float] = [0, 0, 0]
    var logits: [Float] = [3e38, 3e38, -.infinity, -3e38, 0, -.infinity, 1, .nan, 2]
    apus_cross_entropy_forward_f32(&losses, logits, [0, 1, 2], 3, 3)
    #expect(abs(losses[0] - 0.6931472) < 1e-6)
    #expect(losses[1] == 0)
    #expect(losses[2].isNaN)
    apus_cross_entropy_backward_f32(&losses, &logits, [0, 1, 2], 3, 3, 2)
    #expect(logits[0..<6] == [-1, 1, 0, 0, 0, 0])
    #expect(logits[6].isNaN && logits[8].isNaN)
  }
}
