/// In which element types a step computes and accumulates (Micikevicius et al. 2018).
///
/// Reductions, norms, softmax statistics, loss and optimizer are float32 under every policy.
package struct PrecisionPolicy: Hashable, Sendable, Codable {
  /// Weights as forward and backward read them, and activations.
  package var compute: ElementType
  /// The persistent sums of the parameters' gradients.
  package var gradients: ElementType

  package init(compute: ElementType, gradients: ElementType) {
    self.compute = compute
    self.gradients = gradients
  }

  /// Whether the optimizer updates float32 master weights beside those that forward reads.
  package var hasMasterWeights: Bool { compute != .float32 }

  /// As a report names it: `bf16, gradients summed in fp32`.
  package var name: String {
    switch compute {
    case .float32: "fp32"
    default: "\(compute.shortName), gradients summed in \(gradients.shortName)"
    }
  }

  /// Whether the loss is scaled up before backward, so that gradients of activations stay in float16's range.
  package var scalesLoss: Bool { compute == .float16 }

  package static let fp32 = PrecisionPolicy(compute: .float32, gradients: .float32)
  /// 2 + 2 + 4 + 8 = 16 bytes a parameter.
  package static let bf16 = PrecisionPolicy(compute: .bfloat16, gradients: .bfloat16)
  /// Products accumulate straight into float32: 2 + 4 + 4 + 8 = 18 bytes a parameter.
  package static let bf16SummingInFloat32 = PrecisionPolicy(compute: .bfloat16, gradients: .float32)
  package static let fp16 = PrecisionPolicy(compute: .float16, gradients: .float32)
}
