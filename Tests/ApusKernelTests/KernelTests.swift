import CApusKernels
import Testing

/// Every C kernel against its scalar reference, which is evaluated in Double from the same Float inputs.
///
/// One serialised suite, because the thread count of the pool is a property of the process. The files beside
/// this one extend it, one for each C file.
@Suite("Kernels", .serialized)
struct KernelTests {
  /// What a result may differ by: `absolute + relative * |expected|`.
  struct Tolerance {
    var absolute: Double
    var relative: Double
  }

  /// A kernel's outputs: each lies off alignment, between guards that must not change.
  typealias Outputs<Scalar> = [UnsafeMutablePointer<Scalar>]

  /// Numbers in -range..<range, the same for the same seed.
  static func numbers(_ count: Int, seed: UInt64, range: Float = 1) -> [Float] {
    var state = seed &* 0x9E37_79B9_7F4A_7C15 &+ 1
    return (0..<count).map { _ in
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return (Float(state >> 40) / Float(1 << 23) - 1) * range
    }
  }

  /// Runs `kernel` with 1, 2 and 3 threads from the same initial outputs, expects bit-identical results and
  /// untouched guards, then compares with `reference`.
  static func compare(
    _ name: String, _ initial: [[Float]], within tolerance: Tolerance, kernel: (Outputs<Float>) -> Void,
    reference: (Outputs<Double>) -> Void
  ) {
    let results = [1, 2, 3].map { threads in
      apus_set_thread_count(Int32(threads))
      return run(name, initial, guardValue: 12345, kernel)
    }
    for other in results.dropFirst() {
      for (a, b) in zip(results[0], other) {
        #expect(a.map(\.bitPattern) == b.map(\.bitPattern), "\(name): depends on the thread count")
      }
    }
    let expected = run(name, initial.map { $0.map(Double.init) }, guardValue: 12345, reference)
    for (index, (got, want)) in zip(results[0], expected).enumerated() {
      expectClose("\(name), output \(index)", got, want, tolerance)
    }
  }

  /// Expects every element within the tolerance; reports the worst.
  static func expectClose(_ name: String, _ got: [Float], _ want: [Double], _ tolerance: Tolerance) {
    var worst = (excess: 0.0, at: -1)
    for i in got.indices {
      let excess = abs(Double(got[i]) - want[i]) - tolerance.absolute - tolerance.relative * abs(want[i])
      if !(excess <= worst.excess) { worst = (excess, i) }
    }
    if worst.at >= 0 {
      Issue.record("\(name): element \(worst.at) is \(got[worst.at]), expected \(want[worst.at])")
    }
  }

  /// Calls `body` on guarded copies of `initial` and returns what they become.
  private static func run<Scalar: BinaryFloatingPoint>(
    _ name: String, _ initial: [[Scalar]], guardValue: Scalar, _ body: (Outputs<Scalar>) -> Void
  ) -> [[Scalar]] {
    let margin = 17
    let buffers = initial.map { values in
      let all = [Scalar](repeating: guardValue, count: margin) + values
      let buffer = UnsafeMutableBufferPointer<Scalar>.allocate(capacity: all.count + margin)
      _ = buffer.initialize(from: all + [Scalar](repeating: guardValue, count: margin))
      return buffer
    }
    defer { for buffer in buffers { buffer.deallocate() } }
    body(buffers.map { $0.baseAddress! + margin })
    for buffer in buffers {
      let guards = buffer.prefix(margin) + buffer.suffix(margin)
      #expect(guards.allSatisfy { $0 == guardValue }, "\(name): wrote outside an output")
    }
    return buffers.map { Array($0.dropFirst(margin).dropLast(margin)) }
  }
}

extension [Float] {
  /// The same numbers in double precision, for the references.
  var doubles: [Double] { map(Double.init) }
}
