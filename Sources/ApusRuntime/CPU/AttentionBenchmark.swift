import ApusCore
import CApusKernels
import Foundation

/// Causal attention of 12 heads of 64, forward and backward, timed as the kernels run in a step.
package struct AttentionBenchmark {
  /// What `bench attention` prints; the names are those of its JSON keys.
  package struct Result: Codable, Hashable, Sendable {
    package var forwardSeconds: Double
    package var forwardBackwardSeconds: Double
    /// 4 FLOPs an element of a head and visible pair.
    package var forwardFlopsPerSecond: Double
    /// 14 of them: backward computes the scores again.
    package var forwardBackwardFlopsPerSecond: Double
    package var threads: Int
  }

  private static let (heads, headSize) = (12, 64)

  /// Medians of `repeats` runs. `type` is float32 or bfloat16.
  package static func run(
    batch: Int, sequence: Int, type: ElementType, threads: Int, repeats: Int = 5
  ) -> Result {
    require(type == .float32 || type == .bfloat16, "attention is timed in float32 and bfloat16, not \(type)")
    apus_set_thread_count(Int32(threads))
    let width = heads * headSize
    let count = batch * sequence * width
    var shape = apus_attention_shape()
    (shape.batch, shape.S, shape.headSize) = (Int64(batch), Int64(sequence), Int64(headSize))
    (shape.Hq, shape.Hkv) = (Int64(heads), Int64(heads))
    let stride = Int64(width)
    (shape.q_stride, shape.k_stride, shape.v_stride, shape.o_stride) = (stride, stride, stride, stride)
    (shape.dq_stride, shape.dk_stride, shape.dv_stride, shape.do_stride) = (stride, stride, stride, stride)
    shape.scale = 1 / Float(headSize).squareRoot()

    // q, k, v, do, then o, dq, dk, dv; numbers between -1 and 1.
    let floats = UnsafeMutablePointer<Float>.allocate(capacity: 8 * count)
    let halves = UnsafeMutablePointer<UInt16>.allocate(capacity: 8 * count)
    let statistics = UnsafeMutablePointer<Float>.allocate(capacity: 2 * heads * batch * sequence)
    defer {
      floats.deallocate()
      halves.deallocate()
      statistics.deallocate()
    }
    for index in 0..<4 * count { floats[index] = Float(index &* 7919 % 2003) / 1001.5 - 1 }
    apus_copy_f32_bf16(halves, floats, Int64(4 * count), 0)
    let (lse, dot) = (statistics, statistics + heads * batch * sequence)
    let bytes =
      type == .float32
      ? apus_attention_scratch_bytes_f32(&shape, Int32(threads), 1)
      : apus_attention_scratch_bytes_bf16(&shape, Int32(threads), 1)
    let less =
      type == .float32
      ? apus_attention_scratch_bytes_f32(&shape, Int32(threads), 0)
      : apus_attention_scratch_bytes_bf16(&shape, Int32(threads), 0)
    let scratch = UnsafeMutableRawPointer.allocate(byteCount: max(64, Int(max(bytes, less))), alignment: 64)
    defer { scratch.deallocate() }
    let kernelShape = shape
    func forward() {
      withUnsafePointer(to: kernelShape) {
        if type == .float32 {
          let x = floats
          apus_attention_forward_f32($0, x + 4 * count, lse, x, x + count, x + 2 * count, scratch)
        } else {
          let x = halves
          apus_attention_forward_bf16($0, x + 4 * count, lse, x, x + count, x + 2 * count, scratch)
        }
      }
    }
    func backward() {
      withUnsafePointer(to: kernelShape) {
        if type == .float32 {
          let x = floats
          apus_attention_backward_f32(
            $0, x + 5 * count, x + 6 * count, x + 7 * count, x + 3 * count, x + 4 * count, lse, dot, x,
            x + count,
            x + 2 * count, scratch)
        } else {
          let x = halves
          apus_attention_backward_bf16(
            $0, x + 5 * count, x + 6 * count, x + 7 * count, x + 3 * count, x + 4 * count, lse, dot, x,
            x + count,
            x + 2 * count, scratch)
        }
      }
    }
    let forwardSeconds = MachineMeasurement.median(repeats, forward)
    let bothSeconds = MachineMeasurement.median(repeats) {
      forward()
      backward()
    }
    let pairs = Double(batch * heads * sequence * (sequence + 1) / 2)
    return Result(
      forwardSeconds: forwardSeconds, forwardBackwardSeconds: bothSeconds,
      forwardFlopsPerSecond: 4 * Double(headSize) * pairs / forwardSeconds,
      forwardBackwardFlopsPerSecond: 14 * Double(headSize) * pairs / bothSeconds, threads: threads)
  }
}
