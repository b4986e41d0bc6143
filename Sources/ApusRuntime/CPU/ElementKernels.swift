import ApusCore
import CApusKernels

/// The kernels whose activations and weights have one element type, under names that leave the type out.
/// `apus_kernels_of_element.h` says what each computes.
protocol ElementKernels {
  associatedtype Element
  typealias Input = UnsafePointer<Element>
  typealias Output = UnsafeMutablePointer<Element>
  typealias Floats = UnsafePointer<Float>
  typealias FloatOutput = UnsafeMutablePointer<Float>
  typealias Ids = UnsafePointer<Int32>
  typealias AttentionShape = UnsafePointer<apus_attention_shape>

  static var type: ElementType { get }
  static var embedding: @Sendable (Output?, Input?, Ids?, Int64, Int64) -> Void { get }
  static var positions: @Sendable (Output?, Input?, Input?, Int64, Int64, Int64, Int64) -> Void { get }
  static var layerNorm:
    @Sendable (
      Output?, FloatOutput?, FloatOutput?, Input?, Input?, Input?, Int64, Int64, Float
    ) -> Void
  { get }
  static var layerNormGradient:
    @Sendable (Output?, Input?, Input?, Input?, Floats?, Floats?, Int64, Int64, Int32) -> Void
  { get }
  static var rmsNorm: @Sendable (Output?, FloatOutput?, Input?, Input?, Int64, Int64, Float) -> Void { get }
  static var rmsNormGradient:
    @Sendable (Output?, Input?, Input?, Input?, Floats?, Int64, Int64, Int32) -> Void
  { get }
  static var gelu: @Sendable (Output?, Input?, Int64) -> Void { get }
  static var geluGradient: @Sendable (Output?, Input?, Input?, Int64, Int32) -> Void { get }
  static var swiglu: @Sendable (Output?, Input?, Int64, Int64) -> Void { get }
  static var swigluGradient: @Sendable (Output?, Input?, Input?, Int64, Int64, Int32) -> Void { get }
  static var add: @Sendable (Output?, Input?, Input?, Int64) -> Void { get }
  static var copy: @Sendable (Output?, Input?, Int64, Int32) -> Void { get }
  static var addLayerNorm:
    @Sendable (
      Output?, Output?, FloatOutput?, FloatOutput?, Input?, Input?, Input?, Input?, Int64, Int64, Float
    ) -> Void
  { get }
  static var addRMSNorm:
    @Sendable (Output?, Output?, FloatOutput?, Input?, Input?, Input?, Int64, Int64, Float) -> Void
  { get }
  static var biasGELU: @Sendable (Output?, Input?, Input?, Int64, Int64) -> Void { get }
  static var rotary:
    @Sendable (
      Output?, Input?, Floats?, Floats?, Int64, Int64, Int64, Int64, Int64, Int64, Int32
    ) -> Void
  { get }
  static var attentionScratchBytes: @Sendable (AttentionShape?, Int32, Int32) -> Int64 { get }
  static var attention:
    @Sendable (
      AttentionShape?, Output?, FloatOutput?, Input?, Input?, Input?, UnsafeMutableRawPointer?
    ) -> Void
  { get }
  static var attentionGradient:
    @Sendable (
      AttentionShape?, Output?, Output?, Output?, Input?, Input?, Floats?, FloatOutput?, Input?, Input?,
      Input?,
      UnsafeMutableRawPointer?
    ) -> Void
  { get }
  static var cachedAttention:
    @Sendable (
      AttentionShape?, Output?, Input?, Input?, Input?, Output?, Output?, Int64, UnsafeMutableRawPointer?
    ) -> Void
  { get }
  /// Losses and the gradient of float32 logits, which lies where they lie; its rows are a stride apart.
  static var crossEntropyGradient:
    @Sendable (FloatOutput?, Output?, Int64, FloatOutput?, Ids?, Int64, Int64, Float) -> Void
  { get }
  static var sumOfSquares: @Sendable (Input?, Int64) -> Double { get }
  /// Widens to float32.
  static var widen: @Sendable (FloatOutput?, Input?, Int64, Int32) -> Void { get }
  /// Rounds float32 to this type.
  static var narrow: @Sendable (Output?, Floats?, Int64, Int32) -> Void { get }
}

/// float32.
enum Float32Kernels: ElementKernels {
  typealias Element = Float
  static let type = ElementType.float32
  static let embedding = apus_embedding_forward_f32
  static let positions = apus_position_forward_f32
  static let layerNorm = apus_layernorm_forward_f32
  static let layerNormGradient = apus_layernorm_backward_f32
  static let rmsNorm = apus_rmsnorm_forward_f32
  static let rmsNormGradient = apus_rmsnorm_backward_f32
  static let gelu = apus_gelu_forward_f32
  static let geluGradient = apus_gelu_backward_f32
  static let swiglu = apus_swiglu_forward_f32
  static let swigluGradient = apus_swiglu_backward_f32
  static let add = apus_add_f32
  static let copy = apus_copy_f32
  static let addLayerNorm = apus_add_layernorm_forward_f32
  static let addRMSNorm = apus_add_rmsnorm_forward_f32
  static let biasGELU = apus_bias_gelu_forward_f32
  static let rotary = apus_rotary_f32
  static let attentionScratchBytes = apus_attention_scratch_bytes_f32
  static let attention = apus_attention_forward_f32
  static let attentionGradient = apus_attention_backward_f32
  static let cachedAttention = apus_attention_cached_f32
  static let crossEntropyGradient = apus_cross_entropy_gradient_f32
  static let sumOfSquares = apus_sum_of_squares_f32
  static let widen = apus_copy_f32
  static let narrow = apus_copy_f32
}

/// bfloat16.
enum BFloat16Kernels: ElementKernels {
  typealias Element = apus_bf16
  static let type = ElementType.bfloat16
  static let embedding = apus_embedding_forward_bf16
  static let positions = apus_position_forward_bf16
  static let layerNorm = apus_layernorm_forward_bf16
  static let layerNormGradient = apus_layernorm_backward_bf16
  static let rmsNorm = apus_rmsnorm_forward_bf16
  static let rmsNormGradient = apus_rmsnorm_backward_bf16
  static let gelu = apus_gelu_forward_bf16
  static let geluGradient = apus_gelu_backward_bf16
  static let swiglu = apus_swiglu_forward_bf16
  static let swigluGradient = apus_swiglu_backward_bf16
  static let add = apus_add_bf16
  static let copy = apus_copy_bf16_bf16
  static let addLayerNorm = apus_add_layernorm_forward_bf16
  static let addRMSNorm = apus_add_rmsnorm_forward_bf16
  static let biasGELU = apus_bias_gelu_forward_bf16
  static let rotary = apus_rotary_bf16
  static let attentionScratchBytes = apus_attention_scratch_bytes_bf16
  static let attention = apus_attention_forward_bf16
  static let attentionGradient = apus_attention_backward_bf16
  static let cachedAttention = apus_attention_cached_bf16
  static let crossEntropyGradient = apus_cross_entropy_gradient_bf16
  static let sumOfSquares = apus_sum_of_squares_bf16
  static let widen = apus_copy_bf16_f32
  static let narrow = apus_copy_f32_bf16
}

/// IEEE 754 binary16.
enum Float16Kernels: ElementKernels {
  typealias Element = apus_f16
  static let type = ElementType.float16
  static let embedding = apus_embedding_forward_f16
  static let positions = apus_position_forward_f16
  static let layerNorm = apus_layernorm_forward_f16
  static let layerNormGradient = apus_layernorm_backward_f16
  static let rmsNorm = apus_rmsnorm_forward_f16
  static let rmsNormGradient = apus_rmsnorm_backward_f16
  static let gelu = apus_gelu_forward_f16
  static let geluGradient = apus_gelu_backward_f16
  static let swiglu = apus_swiglu_forward_f16
  static let swigluGradient = apus_swiglu_backward_f16
  static let add = apus_add_f16
  static let copy = apus_copy_f16_f16
  static let addLayerNorm = apus_add_layernorm_forward_f16
  static let addRMSNorm = apus_add_rmsnorm_forward_f16
  static let biasGELU = apus_bias_gelu_forward_f16
  static let rotary = apus_rotary_f16
  static let attentionScratchBytes = apus_attention_scratch_bytes_f16
  static let attention = apus_attention_forward_f16
  static let attentionGradient = apus_attention_backward_f16
  static let cachedAttention = apus_attention_cached_f16
  static let crossEntropyGradient = apus_cross_entropy_gradient_f16
  static let sumOfSquares = apus_sum_of_squares_f16
  static let widen = apus_copy_f16_f32
  static let narrow = apus_copy_f32_f16
}
