import ApusReference
import CApusKernels
import Testing

/// What the fused kernels and their sequences need of an element type, float32 included: a fused kernel is
/// compared with its sequence bit for bit, whatever the type.
protocol KernelElement: Numeric {
  static func rounded(_ x: [Float]) -> [Self]
  static var kernels: FusedKernels<Self> { get }
}

/// The kernels of one element type that take part in a fusion. `Sum` receives column sums.
struct FusedKernels<E>: Sendable {
  typealias In = UnsafePointer<E>?
  typealias Out = UnsafeMutablePointer<E>?
  typealias Wide = UnsafePointer<Float>?
  typealias WideOut = UnsafeMutablePointer<Float>?
  typealias Draw = UnsafePointer<apus_dropout>?

  let add: @Sendable (Out, In, In, Int64) -> Void
  let addBias: @Sendable (Out, In, In, Int64, Int64) -> Void
  let geluForward: @Sendable (Out, In, Int64) -> Void
  let geluBackward: @Sendable (Out, In, In, Int64, Int32) -> Void
  let biasGELUForward: @Sendable (Out, In, In, Int64, Int64) -> Void
  let biasGELUBackward: @Sendable (Out, WideOut, In, In, In, Int64, Int64, Int32) -> Void
  let columnSum: @Sendable (WideOut, In, Int64, Int64, Int64, Int32) -> Void
  let layernormForward: @Sendable (Out, WideOut, WideOut, In, In, In, Int64, Int64, Float) -> Void
  let layernormBackward: @Sendable (Out, In, In, In, Wide, Wide, Int64, Int64, Int32) -> Void
  let addLayernormForward: @Sendable (Out, Out, WideOut, WideOut, In, In, In, In, Int64, Int64, Float) -> Void
  let addLayernormBackward: @Sendable (Out, In, In, In, In, Wide, Wide, Int64, Int64) -> Void
  let rmsnormForward: @Sendable (Out, WideOut, In, In, Int64, Int64, Float) -> Void
  let rmsnormBackward: @Sendable (Out, In, In, In, Wide, Int64, Int64, Int32) -> Void
  let addRMSNormForward: @Sendable (Out, Out, WideOut, In, In, In, Int64, Int64, Float) -> Void
  let addRMSNormBackward: @Sendable (Out, In, In, In, In, Wide, Int64, Int64) -> Void
  let dropoutForward: @Sendable (Out, In, Int64, Int64, Draw) -> Void
  let dropoutBackward: @Sendable (Out, In, Int64, Int64, Draw, Int32) -> Void
  let dropoutAdd: @Sendable (Out, In, In, Int64, Int64, Draw) -> Void
}

extension Float: KernelElement {
  static func rounded(_ x: [Float]) -> [Float] { x }
  static let kernels = FusedKernels<Float>(
    add: apus_add_f32, addBias: apus_add_bias_f32, geluForward: apus_gelu_forward_f32,
    geluBackward: apus_gelu_backward_f32, biasGELUForward: apus_bias_gelu_forward_f32,
    biasGELUBackward: apus_bias_gelu_backward_f32, columnSum: apus_column_sum_f32,
    layernormForward: apus_layernorm_forward_f32, layernormBackward: apus_layernorm_backward_f32,
    addLayernormForward: apus_add_layernorm_forward_f32,
    addLayernormBackward: apus_add_layernorm_backward_f32, rmsnormForward: apus_rmsnorm_forward_f32,
    rmsnormBackward: apus_rmsnorm_backward_f32, addRMSNormForward: apus_add_rmsnorm_forward_f32,
    addRMSNormBackward: apus_add_rmsnorm_backward_f32, dropoutForward: apus_dropout_forward_f32,
    dropoutBackward: apus_dropout_backward_f32, dropoutAdd: apus_dropout_add_f32)
}

/// bf16 patterns.
extension UInt16: KernelElement {
  static func rounded(_ x: [Float]) -> [UInt16] { HalfKernels.bf16.round(x) }
  static let kernels = FusedKernels<UInt16>(
    add: apus_add_bf16, addBias: apus_add_bias_bf16, geluForward: apus_gelu_forward_bf16,
    geluBackward: apus_gelu_backward_bf16, biasGELUForward: apus_bias_gelu_forward_bf16,
    biasGELUBackward: apus_bias_gelu_backward_bf16_f32, columnSum: apus_column_sum_bf16_f32,
    layernormForward: apus_layernorm_forward_bf16, layernormBackward: apus_layernorm_backward_bf16,
    addLayernormForward: apus_add_layernorm_forward_bf16,
    addLayernormBackward: apus_add_layernorm_backward_bf16, rmsnormForward: apus_rmsnorm_forward_bf16,
    rmsnormBackward: apus_rmsnorm_backward_bf16, addRMSNormForward: apus_add_rmsnorm_forward_bf16,
    addRMSNormBackward: apus_add_rmsnorm_backward_bf16, dropoutForward: apus_dropout_forward_bf16,
    dropoutBackward: apus_dropout_backward_bf16, dropoutAdd: apus_dropout_add_bf16)
}
