import ApusCore
import CApusKernels

/// The kernels that read activations of one element type and write or add to sums of another: gradients of
/// parameters. `apus_kernels_of_pair.h` says what each computes.
protocol GradientKernels {
  associatedtype Element
  associatedtype Sum
  typealias Input = UnsafePointer<Element>
  typealias Output = UnsafeMutablePointer<Sum>
  typealias Floats = UnsafePointer<Float>
  typealias Ids = UnsafePointer<Int32>

  static var elementType: ElementType { get }
  static var sumType: ElementType { get }
  static var columnSum: @Sendable (Output?, Input?, Int64, Int64, Int64, Int32) -> Void { get }
  /// The gradient of x and the sum of the bias's.
  static var biasGELUGradient:
    @Sendable (
      UnsafeMutablePointer<Element>?, Output?, Input?, Input?, Input?, Int64, Int64, Int32
    ) -> Void
  { get }
  static var layerNormWeightGradient:
    @Sendable (
      Output?, Output?, Input?, Input?, Floats?, Floats?, Int64, Int64, Int32, Int32
    ) -> Void
  { get }
  static var rmsNormWeightGradient: @Sendable (Output?, Input?, Input?, Floats?, Int64, Int64, Int32) -> Void
  { get }
  static var embeddingGradient: @Sendable (Output?, Input?, Ids?, Int64, Int64, Int64, Int32) -> Void { get }
  static var positionsGradient: @Sendable (Output?, Input?, Int64, Int64, Int64, Int64, Int32) -> Void { get }
}

/// float32 into float32.
enum Float32Gradients: GradientKernels {
  typealias Element = Float
  typealias Sum = Float
  static let elementType = ElementType.float32
  static let sumType = ElementType.float32
  static let columnSum = apus_column_sum_f32
  static let biasGELUGradient = apus_bias_gelu_backward_f32
  static let layerNormWeightGradient = apus_layernorm_backward_weights_f32
  static let rmsNormWeightGradient = apus_rmsnorm_backward_weights_f32
  static let embeddingGradient = apus_embedding_backward_f32
  static let positionsGradient = apus_position_backward_f32
}

/// bfloat16 into float32.
enum BFloat16ToFloat32Gradients: GradientKernels {
  typealias Element = apus_bf16
  typealias Sum = Float
  static let elementType = ElementType.bfloat16
  static let sumType = ElementType.float32
  static let columnSum = apus_column_sum_bf16_f32
  static let biasGELUGradient = apus_bias_gelu_backward_bf16_f32
  static let layerNormWeightGradient = apus_layernorm_backward_weights_bf16_f32
  static let rmsNormWeightGradient = apus_rmsnorm_backward_weights_bf16_f32
  static let embeddingGradient = apus_embedding_backward_bf16_f32
  static let positionsGradient = apus_position_backward_bf16_f32
}

/// bfloat16 into bfloat16.
enum BFloat16Gradients: GradientKernels {
  typealias Element = apus_bf16
  typealias Sum = apus_bf16
  static let elementType = ElementType.bfloat16
  static let sumType = ElementType.bfloat16
  static let columnSum = apus_column_sum_bf16_bf16
  static let biasGELUGradient = apus_bias_gelu_backward_bf16_bf16
  static let layerNormWeightGradient = apus_layernorm_backward_weights_bf16_bf16
  static let rmsNormWeightGradient = apus_rmsnorm_backward_weights_bf16_bf16
  static let embeddingGradient = apus_embedding_backward_bf16_bf16
  static let positionsGradient = apus_position_backward_bf16_bf16
}

/// binary16 into float32.
enum Float16ToFloat32Gradients: GradientKernels {
  typealias Element = apus_f16
  typealias Sum = Float
  static let elementType = ElementType.float16
  static let sumType = ElementType.float32
  static let columnSum = apus_column_sum_f16_f32
  static let biasGELUGradient = apus_bias_gelu_backward_f16_f32
  static let layerNormWeightGradient = apus_layernorm_backward_weights_f16_f32
  static let rmsNormWeightGradient = apus_rmsnorm_backward_weights_f16_f32
  static let embeddingGradient = apus_embedding_backward_f16_f32
  static let positionsGradient = apus_position_backward_f16_f32
}
