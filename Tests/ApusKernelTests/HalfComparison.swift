import ApusReference
import CApusKernels
import Testing

extension KernelTests {
  /// Numbers of a 16-bit type, as patterns.
  static func halves(_ half: HalfKernels, _ count: Int, seed: UInt64, range: Float = 1) -> [UInt16] {
    half.round(numbers(count, seed: seed, range: range))
  }

  /// `compare` for a kernel with 16-bit outputs, float32 outputs, or both: the same bits on 1, 2 and 3
  /// threads, untouched guards, and 16-bit results within the tolerance of float32 arithmetic and one
  /// rounding of the reference, which sees the widened inputs in Double.
  static func compare(
    _ name: String, _ half: HalfKernels, _ halves: [[UInt16]], _ floats: [[Float]] = [],
    within tolerance: Tolerance, kernel: ([UnsafeMutablePointer<UInt16>], Outputs<Float>) -> Void,
    reference: (Outputs<Double>) -> Void
  ) {
    let runs = [1, 2, 3].map { threads in
      apus_set_thread_count(Int32(threads))
      let (h, (f, _)) = withGuarded(name, halves) { h in withGuarded(name, floats) { kernel(h, $0) } }
      return (h, f)
    }
    for other in runs.dropFirst() {
      #expect(other.0 == runs[0].0, "\(name): depends on the thread count")
      #expect(
        other.1.map { $0.map(\.bitPattern) } == runs[0].1.map { $0.map(\.bitPattern) },
        "\(name): depends on the thread count")
    }
    let initial = halves.map(half.doubles) + floats.map(\.doubles)
    let (expected, _) = withGuarded(name, initial, reference)
    // Half a step of the last place, relative and near zero.
    let rounding = Tolerance(
      absolute: tolerance.absolute + half.format.smallest / 2,
      relative: tolerance.relative + half.format.epsilon / 2 * (1 + tolerance.relative))
    for (i, got) in runs[0].0.enumerated() {
      expectClose("\(half.format.name) \(name), output \(i)", half.widen(got), expected[i], rounding)
    }
    for (i, got) in runs[0].1.enumerated() {
      expectClose(
        "\(half.format.name) \(name), float output \(i)", got, expected[halves.count + i], tolerance)
    }
  }

  /// Calls `body` on copies of `initial` that lie off alignment between guards, and returns what they become.
  private static func withGuarded<Scalar: Numeric, Result>(
    _ name: String, _ initial: [[Scalar]], _ body: (Outputs<Scalar>) -> Result
  ) -> ([[Scalar]], Result) {
    let (margin, value) = (17, 12345 as Scalar)
    let buffers = initial.map { values in
      let all = [Scalar](repeating: value, count: margin) + values + [Scalar](repeating: value, count: margin)
      let buffer = UnsafeMutableBufferPointer<Scalar>.allocate(capacity: all.count)
      _ = buffer.initialize(from: all)
      return buffer
    }
    defer { for buffer in buffers { buffer.deallocate() } }
    let result = body(buffers.map { $0.baseAddress! + margin })
    for buffer in buffers {
      let guards = buffer.prefix(margin) + buffer.suffix(margin)
      #expect(guards.allSatisfy { $0 == value }, "\(name): wrote outside an output")
    }
    return (buffers.map { Array($0.dropFirst(margin).dropLast(margin)) }, result)
  }
}
