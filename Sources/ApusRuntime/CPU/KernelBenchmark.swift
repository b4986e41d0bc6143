import ApusReference
import CApusKernels
import Foundation

/// Each kernel on the shapes of a GPT-2 124M step, timed against what bounds it and against its scalar
/// definition in Swift.
package struct KernelBenchmark {
  /// What limits a kernel on a machine without overhead.
  package enum Bound: String, Codable, Hashable, Sendable {
    case matrixPeak = "matrix peak"
    case memory
  }

  /// One kernel's result.
  package struct Time: Codable, Hashable, Sendable {
    package var kernel: String
    package var shape: String
    /// Median.
    package var seconds: Double
    /// FLOP/s where the matrix peak bounds the kernel, bytes/s where memory does.
    package var rate: Double
    package var bound: Bound
    /// `rate` as a share of the measured peak or bandwidth. More than 1 where data stays in the
    /// cache or is written where it was just read, which adding two vectors into a third is not.
    package var shareOfBound: Double
    /// One run of the scalar definition on one thread; of attention one head is run and multiplied.
    package var scalarSeconds: Double
  }

  private typealias Floats = UnsafeMutablePointer<Float>
  private typealias R = Reference<Float>

  private struct Case {
    let kernel, shape: String
    /// FLOPs, or bytes where the kernel is bound by memory.
    let work: Int
    let bound: Bound
    let run, scalar: () -> Void
    /// How many times `scalar` would have to run to do the kernel's work.
    var scalarParts = 1
  }

  private let machine: MachineMeasurement
  private let memory: Floats
  private let ids: UnsafeMutablePointer<Int32>
  private static let capacity = 96 << 20

  /// - Parameter machine: peak and bandwidth, measured with as many threads as the kernels shall use.
  package init(_ machine: MachineMeasurement) {
    self.machine = machine
    memory = .allocate(capacity: Self.capacity)
    for index in 0..<Self.capacity { memory[index] = Float(index % 1013 + 1) * 1e-3 }
    ids = .allocate(capacity: 1024)
    for index in 0..<1024 { ids[index] = Int32(index * 37 % 50257) }
  }

  /// Runs every case, and gives the memory back.
  package consuming func run(repeats: Int = 7) -> [Time] {
    apus_set_thread_count(Int32(machine.threads))
    let times = (rowCases + elementCases + attentionCases).map { test in
      let seconds = MachineMeasurement.median(repeats, test.run)
      let start = DispatchTime.now().uptimeNanoseconds
      test.scalar()
      let scalar = Double(test.scalarParts) * Double(DispatchTime.now().uptimeNanoseconds - start) / 1e9
      let rate = Double(test.work) / seconds
      let limit = test.bound == .memory ? machine.memoryBytesPerSecond : machine.peakFLOPsPerSecond
      return Time(
        kernel: test.kernel, shape: test.shape, seconds: seconds, rate: rate, bound: test.bound,
        shareOfBound: rate / limit, scalarSeconds: scalar)
    }
    memory.deallocate()
    ids.deallocate()
    return times
  }

  /// A stretch of the memory, counted in units of 1024 x 1024 numbers.
  private func at(_ unit: Int) -> Floats { memory + unit << 20 }

  private func bytes(_ count: Int) -> Int { 4 * count }

  /// T = 1024 rows of D = 768, and 256 rows of V = 50257.
  private var rowCases: [Case] {
    let (t, d, v) = (1024, 768, 50257)
    let n = t * d
    let (y, x, dy, w, stats, table) = (at(0), at(1), at(2), at(3), at(4), at(8))
    let (T, D) = (Int64(t), Int64(d))
    return [
      Case(
        kernel: "embedding", shape: "1024 of 50257 x 768", work: bytes(2 * n), bound: .memory,
        run: { [ids] in apus_embedding_forward_f32(y, table, ids, T, D) },
        scalar: { [ids] in R.embeddingForward(y, table, ids, t, d) }),
      Case(
        kernel: "layer norm", shape: "1024 x 768", work: bytes(2 * n), bound: .memory,
        run: { apus_layernorm_forward_f32(y, stats, stats + t, x, w, w + d, T, D, 1e-5) },
        scalar: { R.layernormForward(y, stats, stats + t, x, w, w + d, t, d, 1e-5) }),
      Case(
        kernel: "layer norm gradient", shape: "1024 x 768", work: bytes(3 * n), bound: .memory,
        run: { apus_layernorm_backward_f32(y, dy, x, w, stats, stats + t, T, D, 0) },
        scalar: { R.layernormBackward(y, dy, x, w, stats, stats + t, t, d, false) }),
      Case(
        kernel: "rms norm", shape: "1024 x 768", work: bytes(2 * n), bound: .memory,
        run: { apus_rmsnorm_forward_f32(y, stats, x, w, T, D, 1e-5) },
        scalar: { R.rmsnormForward(y, stats, x, w, t, d, 1e-5) }),
      Case(
        kernel: "rms norm gradient", shape: "1024 x 768", work: bytes(3 * n), bound: .memory,
        run: { apus_rmsnorm_backward_f32(y, dy, x, w, stats, T, D, 0) },
        scalar: { R.rmsnormBackward(y, dy, x, w, stats, t, d, false) }),
      Case(
        kernel: "column sum", shape: "1024 x 3072", work: bytes(4 * n), bound: .memory,
        run: { apus_column_sum_f32(y, table, T, 3072, 3072, 0) },
        scalar: { R.columnSum(y, table, t, 3072, 3072, false) }),
      Case(
        kernel: "cross-entropy and gradient", shape: "256 x 50257", work: bytes(2 * 256 * v), bound: .memory,
        run: { [ids] in apus_cross_entropy_backward_f32(stats, table, ids, 256, Int64(v), 1) },
        scalar: { [ids] in R.crossEntropyBackward(stats, table, ids, 256, v, 1) }),
    ]
  }

  /// Element by element; the optimizer over 16 million parameters.
  private var elementCases: [Case] {
    let (t, f) = (1024, 3072)
    let n = t * f
    let (y, x, dy) = (at(0), at(8), at(16))
    let p = 16 << 20
    let (cosines, sines) = (at(90), at(91))
    return [
      Case(
        kernel: "gelu", shape: "1024 x 3072", work: bytes(2 * n), bound: .memory,
        run: { apus_gelu_forward_f32(y, x, Int64(n)) }, scalar: { R.geluForward(y, x, n) }),
      Case(
        kernel: "gelu gradient", shape: "1024 x 3072", work: bytes(3 * n), bound: .memory,
        run: { apus_gelu_backward_f32(y, dy, x, Int64(n), 0) }, scalar: { R.geluBackward(y, dy, x, n, false) }
      ),
      Case(
        kernel: "swiglu", shape: "1024 x 2048", work: bytes(3 * t * 2048), bound: .memory,
        run: { apus_swiglu_forward_f32(y, x, Int64(t), 2048) }, scalar: { R.swigluForward(y, x, t, 2048) }),
      Case(
        kernel: "swiglu gradient", shape: "1024 x 2048", work: bytes(5 * t * 2048), bound: .memory,
        run: { apus_swiglu_backward_f32(y, dy, x, Int64(t), 2048, 0) },
        scalar: { R.swigluBackward(y, dy, x, t, 2048, false) }),
      Case(
        kernel: "rotary", shape: "1024 x 12 heads of 64", work: bytes(2 * t * 768), bound: .memory,
        run: { apus_rotary_f32(y, x, cosines, sines, Int64(t), 768, 12, 64, Int64(t), 0, 1) },
        scalar: { R.rotary(y, x, cosines, sines, t, 768, 12, 64, t, 0, 1) }),
      Case(
        kernel: "add", shape: "1024 x 3072", work: bytes(3 * n), bound: .memory,
        run: { apus_add_f32(y, x, dy, Int64(n)) }, scalar: { R.add(y, x, dy, n) }),
      Case(
        kernel: "sum of squares", shape: "16777216", work: bytes(p), bound: .memory,
        run: { _ = apus_sum_of_squares_f32(x, Int64(p)) }, scalar: { _ = R.sumOfSquares(x, p) }),
      Case(
        kernel: "adamw", shape: "16777216", work: bytes(7 * p), bound: .memory,
        run: { [self] in
          apus_adamw(
            nil, APUS_F32, at(0), at(16), at(32), at(48), APUS_F32, Int64(p), 1e-9, 0.9, 0.95, 1e-8, 0, 1, 1,
            1)
        },
        scalar: { [self] in R.adamw(at(0), at(16), at(32), at(48), p, 1e-9, 0.9, 0.95, 1e-8, 0, 1, 1, 1) }),
    ]
  }

  /// Causal attention of 12 heads of 64, forward and backward.
  private var attentionCases: [Case] {
    [(4, 256), (1, 1024)].flatMap { batch, s -> [Case] in
      var shape = apus_attention_shape()
      (shape.batch, shape.S, shape.Hq, shape.Hkv, shape.headSize) = (Int64(batch), Int64(s), 12, 12, 64)
      (shape.q_stride, shape.k_stride, shape.v_stride, shape.o_stride) = (768, 768, 768, 768)
      (shape.dq_stride, shape.dk_stride, shape.dv_stride, shape.do_stride) = (768, 768, 768, 768)
      shape.scale = 0.125
      let kernelShape = shape
      let oneHead = R.AttentionShape(batch: 1, S: s, Hq: 1, Hkv: 1, headSize: 64)
      let (q, k, v, o, lse) = (at(0), at(1), at(2), at(3), at(4))
      let (dq, dk, dv, dOut, dot, scratch) = (at(5), at(6), at(7), at(8), at(9), at(16))
      let pairs = 12 * batch * s * (s + 1) / 2
      return [
        Case(
          kernel: "attention", shape: "\(batch) x \(s), 12 heads of 64", work: 4 * 64 * pairs,
          bound: .matrixPeak,
          run: {
            withUnsafePointer(to: kernelShape) { apus_attention_forward_f32($0, o, lse, q, k, v, scratch) }
          },
          scalar: { R.attentionForward(oneHead, o, lse, q, k, v) }, scalarParts: 12 * batch),
        Case(
          kernel: "attention gradient", shape: "\(batch) x \(s), 12 heads of 64", work: 10 * 64 * pairs,
          bound: .matrixPeak,
          run: {
            withUnsafePointer(to: kernelShape) {
              apus_attention_backward_f32($0, dq, dk, dv, dOut, o, lse, dot, q, k, v, scratch)
            }
          },
          scalar: { R.attentionBackward(oneHead, dq, dk, dv, dOut, o, lse, dot, q, k, v) },
          scalarParts: 12 * batch),
      ]
    }
  }
}
