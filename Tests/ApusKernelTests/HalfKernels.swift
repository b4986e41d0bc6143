import ApusReference
import CApusKernels
import Testing

/// The kernels of one 16-bit type, so that a test is written once for bf16 and fp16.
struct HalfKernels: CustomTestStringConvertible, Sendable {
  typealias Half = UnsafePointer<UInt16>?
  typealias HalfOut = UnsafeMutablePointer<UInt16>?
  typealias Wide = UnsafePointer<Float>?
  typealias WideOut = UnsafeMutablePointer<Float>?
  typealias Ids = UnsafePointer<Int32>?

  var testDescription: String { format.name }
  let format: FloatFormat
  let type: apus_element

  let copyToFloat: @Sendable @convention(c) (WideOut, Half, Int64, Int32) -> Void
  let copyFromFloat: @Sendable @convention(c) (HalfOut, Wide, Int64, Int32) -> Void
  let copy: @Sendable @convention(c) (HalfOut, Half, Int64, Int32) -> Void
  let add: @Sendable @convention(c) (HalfOut, Half, Half, Int64) -> Void
  let addBias: @Sendable @convention(c) (HalfOut, Half, Half, Int64, Int64) -> Void
  let geluForward: @Sendable @convention(c) (HalfOut, Half, Int64) -> Void
  let geluBackward: @Sendable @convention(c) (HalfOut, Half, Half, Int64, Int32) -> Void
  let swigluForward: @Sendable @convention(c) (HalfOut, Half, Int64, Int64) -> Void
  let swigluBackward: @Sendable @convention(c) (HalfOut, Half, Half, Int64, Int64, Int32) -> Void
  let rotary:
    @Sendable @convention(c) (
      HalfOut, Half, Wide, Wide, Int64, Int64, Int64, Int64, Int64, Int64, Int32
    ) -> Void
  let layernormForward:
    @Sendable @convention(c) (
      HalfOut, WideOut, WideOut, Half, Half, Half, Int64, Int64, Float
    ) -> Void
  let layernormBackward:
    @Sendable @convention(c) (
      HalfOut, Half, Half, Half, Wide, Wide, Int64, Int64, Int32
    ) -> Void
  let rmsnormForward: @Sendable @convention(c) (HalfOut, WideOut, Half, Half, Int64, Int64, Float) -> Void
  let rmsnormBackward: @Sendable @convention(c) (HalfOut, Half, Half, Half, Wide, Int64, Int64, Int32) -> Void
  let layernormWeights:
    @Sendable @convention(c) (
      WideOut, WideOut, Half, Half, Wide, Wide, Int64, Int64, Int32, Int32
    ) -> Void
  let layernormWeightsHalf:
    @Sendable @convention(c) (
      HalfOut, HalfOut, Half, Half, Wide, Wide, Int64, Int64, Int32, Int32
    ) -> Void
  let rmsnormWeights: @Sendable @convention(c) (WideOut, Half, Half, Wide, Int64, Int64, Int32) -> Void
  let columnSum: @Sendable @convention(c) (WideOut, Half, Int64, Int64, Int64, Int32) -> Void
  let columnSumHalf: @Sendable @convention(c) (HalfOut, Half, Int64, Int64, Int64, Int32) -> Void
  let embeddingForward: @Sendable @convention(c) (HalfOut, Half, Ids, Int64, Int64) -> Void
  let embeddingBackward: @Sendable @convention(c) (WideOut, Half, Ids, Int64, Int64, Int64, Int32) -> Void
  let embeddingBackwardHalf: @Sendable @convention(c) (HalfOut, Half, Ids, Int64, Int64, Int64, Int32) -> Void
  let positionForward: @Sendable @convention(c) (HalfOut, Half, Half, Int64, Int64, Int64, Int64) -> Void
  let positionBackwardHalf:
    @Sendable @convention(c) (HalfOut, Half, Int64, Int64, Int64, Int64, Int32) -> Void
  let crossEntropyForward: @Sendable @convention(c) (WideOut, Half, Ids, Int64, Int64) -> Void
  let crossEntropyBackward: @Sendable @convention(c) (WideOut, HalfOut, Ids, Int64, Int64, Float) -> Void
  let crossEntropyGradient:
    @Sendable @convention(c) (WideOut, HalfOut, Int64, WideOut, Ids, Int64, Int64, Float) -> Void
  let sumOfSquares: @Sendable @convention(c) (Half, Int64) -> Double
  let attentionForward:
    @Sendable @convention(c) (
      UnsafePointer<apus_attention_shape>?, HalfOut, WideOut, Half, Half, Half, UnsafeMutableRawPointer?
    ) -> Void
  let attentionBackward:
    @Sendable @convention(c) (
      UnsafePointer<apus_attention_shape>?, HalfOut, HalfOut, HalfOut, Half, Half, Wide, WideOut, Half, Half,
      Half, UnsafeMutableRawPointer?
    ) -> Void
  let attentionCached:
    @Sendable @convention(c) (
      UnsafePointer<apus_attention_shape>?, HalfOut, Half, Half, Half, HalfOut, HalfOut, Int64,
      UnsafeMutableRawPointer?
    ) -> Void

  /// The nearest values of this type, as patterns.
  func round(_ x: [Float]) -> [UInt16] { x.map { UInt16(format.encode(Double($0))) } }
  func widen(_ bits: [UInt16]) -> [Float] { bits.map { Float(format.decode(Int($0))) } }
  func doubles(_ bits: [UInt16]) -> [Double] { bits.map { format.decode(Int($0)) } }
}
