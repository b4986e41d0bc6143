import ApusCore
import CApusKernels
import Foundation

/// The ladder of kernels: each fused kernel against the vector kernels that it replaces and their scalar rung, with
/// the bytes that each moves; attention against its earlier versions.
package struct FusionBenchmark {
  /// One implementation of the same work.
  package struct Rung: Codable, Hashable, Sendable {
    package var name: String
    package var seconds: Double
    /// Bytes that cross memory when nothing stays in the cache between kernels.
    package var bytes: Int
  }

  /// One piece of work, its rungs from the lowest to the highest.
  package struct Ladder: Codable, Hashable, Sendable {
    package var work: String
    package var shape: String
    package var type: String
    /// Matrix FLOPs; 0 where memory is the bound.
    package var flops: Int
    package var rungs: [Rung]
  }

  private typealias Floats = UnsafeMutablePointer<Float>
  private typealias Halves = UnsafeMutablePointer<apus_bf16>

  private let threads: Int
  private let memory: Floats
  private static let capacity = 128 << 20

  package init(threads: Int) {
    self.threads = threads
    memory = .allocate(capacity: Self.capacity)
    for index in 0..<Self.capacity { memory[index] = Float(index % 1013 + 1) * 1e-3 }
  }

  /// Runs every ladder, and gives the memory back.
  package consuming func run(repeats: Int = 5) -> [Ladder] {
    apus_set_thread_count(Int32(threads))
    let ladders =
      normLadders(repeats) + elementLadders(repeats) + [optimizerLadder(repeats)]
      + [(4, 256), (1, 1024), (1, 4096)].flatMap { batch, sequence in
        [ElementType.float32, .bfloat16].map {
          attentionLadder(batch: batch, sequence: sequence, $0, repeats)
        }
      }
    memory.deallocate()
    return ladders
  }

  private func at(_ unit: Int) -> Floats { memory + unit << 20 }
  private func halves(_ unit: Int) -> Halves {
    UnsafeMutableRawPointer(at(unit)).assumingMemoryBound(to: UInt16.self)
  }

  private func rung(_ name: String, _ repeats: Int, bytes: Int, _ body: () -> Void) -> Rung {
    Rung(name: name, seconds: MachineMeasurement.median(repeats, body), bytes: bytes)
  }

  /// Residual sum and norm of 4,096 rows of 768: apart, the sum is written and read again.
  private func normLadders(_ repeats: Int) -> [Ladder] {
    let (t, d) = (4096, 768)
    let (T, D, n) = (Int64(t), Int64(d), t * d)
    let (sum, y, a, c, w, stats) = (at(0), at(4), at(8), at(12), at(16), at(17))
    let (sum16, y16, a16, c16) = (halves(20), halves(24), halves(28), halves(32))
    let w16 = halves(36)
    func ladder(_ work: String, _ type: String, _ size: Int, _ apart: () -> Void, _ fused: () -> Void)
      -> Ladder
    {
      Ladder(
        work: work, shape: "\(t) x \(d)", type: type, flops: 0,
        rungs: [
          rung("add, then norm", repeats, bytes: size * 5 * n, apart),
          rung("fused", repeats, bytes: size * 4 * n, fused),
        ])
    }
    return [
      ladder(
        "residual and layer norm", "float32", 4,
        {
          apus_add_f32(sum, a, c, Int64(n))
          apus_layernorm_forward_f32(y, stats, stats + t, sum, w, w + d, T, D, 1e-5)
        },
        { apus_add_layernorm_forward_f32(sum, y, stats, stats + t, a, c, w, w + d, T, D, 1e-5) }),
      ladder(
        "residual and layer norm", "bfloat16", 2,
        {
          apus_add_bf16(sum16, a16, c16, Int64(n))
          apus_layernorm_forward_bf16(y16, stats, stats + t, sum16, w16, w16 + d, T, D, 1e-5)
        },
        { apus_add_layernorm_forward_bf16(sum16, y16, stats, stats + t, a16, c16, w16, w16 + d, T, D, 1e-5) }),
      ladder(
        "residual and rms norm", "float32", 4,
        {
          apus_add_f32(sum, a, c, Int64(n))
          apus_rmsnorm_forward_f32(y, stats, sum, w, T, D, 1e-5)
        },
        { apus_add_rmsnorm_forward_f32(sum, y, stats, a, c, w, T, D, 1e-5) }),
      ladder(
        "residual and rms norm", "bfloat16", 2,
        {
          apus_add_bf16(sum16, a16, c16, Int64(n))
          apus_rmsnorm_forward_bf16(y16, stats, sum16, w16, T, D, 1e-5)
        },
        { apus_add_rmsnorm_forward_bf16(sum16, y16, stats, a16, c16, w16, T, D, 1e-5) }),
    ]
  }

  /// Bias and GELU of 4,096 rows of 3,072.
  private func elementLadders(_ repeats: Int) -> [Ladder] {
    let (t, f) = (4096, 3072)
    let (T, F, n) = (Int64(t), Int64(f), t * f)
    let (y, x, bias) = (at(0), at(16), at(32))
    let (y16, x16, bias16) = (halves(33), halves(41), halves(49))
    return [
      Ladder(
        work: "bias and gelu", shape: "\(t) x \(f)", type: "float32", flops: 0,
        rungs: [
          rung("bias, then gelu", repeats, bytes: 4 * 4 * n) {
            apus_add_bias_f32(y, x, bias, T, F)
            apus_gelu_forward_f32(y, y, Int64(n))
          },
          rung("fused", repeats, bytes: 4 * 2 * n) { apus_bias_gelu_forward_f32(y, x, bias, T, F) },
        ]),
      Ladder(
        work: "bias and gelu", shape: "\(t) x \(f)", type: "bfloat16", flops: 0,
        rungs: [
          rung("bias, then gelu", repeats, bytes: 2 * 4 * n) {
            apus_add_bias_bf16(y16, x16, bias16, T, F)
            apus_gelu_forward_bf16(y16, y16, Int64(n))
          },
          rung("fused", repeats, bytes: 2 * 2 * n) { apus_bias_gelu_forward_bf16(y16, x16, bias16, T, F) },
        ]),
    ]
  }

  /// AdamW on master weights: the update, then the rounded copy that forward reads.
  private func optimizerLadder(_ repeats: Int) -> Ladder {
    let n = 16 << 20
    let (master, m, v, gradient) = (at(0), at(16), at(32), at(48))
    let weights = halves(64)
    return Ladder(
      work: "adamw and bf16 weights", shape: "\(n)", type: "float32, bfloat16", flops: 0,
      rungs: [
        rung("update, then round", repeats, bytes: (28 + 6) * n) {
          apus_adamw(
            nil, APUS_F32, master, m, v, gradient, APUS_F32, Int64(n), 1e-9, 0.9, 0.95, 1e-8, 0, 1, 1, 1)
          apus_copy_f32_bf16(weights, master, Int64(n), 0)
        },
        rung("fused", repeats, bytes: (28 + 2) * n) {
          apus_adamw(
            weights, APUS_BF16, master, m, v, gradient, APUS_F32, Int64(n), 1e-9, 0.9, 0.95, 1e-8, 0, 1, 1, 1)
        },
      ])
  }

  /// Causal attention forward, 12 heads of 64, of numbers in float32 or bf16; all rungs compute in float32.
  private func attentionLadder(batch: Int, sequence: Int, _ type: ElementType, _ repeats: Int) -> Ladder {
    var shape = apus_attention_shape()
    (shape.batch, shape.S, shape.Hq, shape.Hkv, shape.headSize) = (Int64(batch), Int64(sequence), 12, 12, 64)
    (shape.q_stride, shape.k_stride, shape.v_stride, shape.o_stride) = (768, 768, 768, 768)
    shape.scale = 0.125
    let (o, lse) = (at(12), at(16))
    let operandsInFloat = [at(0), at(4), at(8)]
    let operandsInHalf = [halves(20), halves(24), halves(28)]
    for (half, float) in zip(operandsInHalf, operandsInFloat) {
      apus_copy_f32_bf16(half, float, Int64(batch * sequence * 768), 0)
    }
    let inputs =
      type == .float32
      ? operandsInFloat.map { UnsafeRawPointer($0) } : operandsInHalf.map { UnsafeRawPointer($0) }
    let operands = 4 * type.byteCount * batch * sequence * 768
    // Scores, in float32, written and read by each of the passes over them: product, softmax, product.
    let scores = 4 * batch * 12 * sequence * sequence
    let names: [(apus_attention_rung, String, Int)] = [
      (APUS_ATTENTION_UNFUSED, "unfused, scores in memory", operands + 4 * scores),
      (APUS_ATTENTION_FLASH1, "FlashAttention-1", operands),
      (APUS_ATTENTION_FLASH2, "FlashAttention-2", operands),
    ]
    let rungs = names.map { kind, name, bytes in
      let scratch = UnsafeMutableRawPointer.allocate(
        byteCount: max(64, Int(apus_attention_rung_scratch_bytes(kind, &shape, Int32(threads)))),
        alignment: 64)
      defer { scratch.deallocate() }
      return rung(name, sequence > 1024 ? 1 : repeats, bytes: bytes) {
        apus_attention_rung_forward(
          kind, type.kernelType, &shape, o, lse, inputs[0], inputs[1], inputs[2], scratch)
      }
    }
    return Ladder(
      work: "attention", shape: "\(batch) x \(sequence), 12 heads of 64", type: type.rawValue,
      flops: 4 * 64 * 12 * batch * sequence * (sequence + 1) / 2, rungs: rungs)
  }
}
