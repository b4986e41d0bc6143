import ApusCore
import ApusModels

/// A training step to foresee: the model, its layout on a cluster, numbers and kernels.
package struct TrainingJob: Hashable, Sendable {
  package var model: ModelConfiguration
  package var layout: JobLayout
  package var sequenceLength: Int
  package var numbers: JobNumbers
  package var recomputation: JobRecomputation
  package var attention: AttentionKernel
  package var stack: SoftwareStack
  package var hardware: HardwareDescription
  /// Where feed-forward blocks are experts; the model's own block is then one of them.
  package var experts: ExpertShape?

  /// - Parameter experts: their size takes the place of the model's intermediate size.
  package init(
    model: ModelConfiguration, layout: JobLayout, sequenceLength: Int, numbers: JobNumbers = JobNumbers(),
    recomputation: JobRecomputation = .none, attention: AttentionKernel = .flash2,
    stack: SoftwareStack = .apus, hardware: HardwareDescription, experts: ExpertShape? = nil
  ) {
    self.model = model
    self.experts = experts
    if let experts { self.model.intermediateSize = experts.intermediateSize }
    self.layout = layout
    self.sequenceLength = sequenceLength
    self.numbers = numbers
    self.recomputation = recomputation
    self.attention = attention
    self.stack = stack
    self.hardware = hardware
  }

  /// Tokens that one rank's micro-batch holds: a context rank has its share of each sequence.
  package var localTokens: Int { layout.microBatchSize * sequenceLength / layout.context }
  package var tokensPerStep: Int {
    layout.microBatchSize * layout.microbatches * layout.data * sequenceLength
  }
}

/// Element types of a step, in bytes an element.
package struct JobNumbers: Hashable, Sendable {
  package enum Compute: String, Hashable, Sendable, CaseIterable { case fp32, bf16, fp16, fp8 }

  package var compute: Compute
  /// Weights as forward reads them.
  package var weightBytes: Double
  /// Persistent gradient sums.
  package var gradientBytes: Double
  /// Float32 master weights and both moments.
  package var optimizerBytes: Double
  /// Elements of gradients on the wire.
  package var gradientWireBytes: Double
  /// Elements of parameters on the wire.
  package var parameterWireBytes: Double

  package init(
    compute: Compute = .bf16, weightBytes: Double = 2, gradientBytes: Double = 2, optimizerBytes: Double = 12,
    gradientWireBytes: Double = 2, parameterWireBytes: Double = 2
  ) {
    self.compute = compute
    self.weightBytes = weightBytes
    self.gradientBytes = gradientBytes
    self.optimizerBytes = optimizerBytes
    self.gradientWireBytes = gradientWireBytes
    self.parameterWireBytes = parameterWireBytes
  }

  /// What the trainers of today keep when they compute in a type: 16 bytes a parameter.
  package init(of compute: Compute) {
    self.init(compute: compute)
    guard compute == .fp32 else { return }
    (weightBytes, gradientBytes, optimizerBytes) = (4, 4, 8)
    (gradientWireBytes, parameterWireBytes) = (4, 4)
  }

  /// Bytes of an activation; fp8 covers products' operands only.
  package var activationBytes: Double { compute == .fp32 ? 4 : 2 }

  /// As a program is recorded: fp8 covers the operands of products alone.
  package var policy: PrecisionPolicy {
    switch compute {
    case .fp32: .fp32
    case .bf16, .fp8: gradientBytes > 2 ? .bf16SummingInFloat32 : .bf16
    case .fp16: PrecisionPolicy(compute: .float16, gradients: gradientBytes > 2 ? .float32 : .float16)
    }
  }

  /// The type in which products multiply.
  package var product: HardwareDescription.Precision {
    switch compute {
    case .fp32: .fp32
    case .bf16: .bf16
    case .fp16: .fp16
    case .fp8: .fp8
    }
  }
}

/// What backward computes again.
package enum JobRecomputation: String, Hashable, Sendable, CaseIterable {
  case none
  /// Attention's inner part alone (Korthikanti et al. 2022): scores, softmax and their product with values.
  case attention
  /// Operation by operation: every second matrix product and all cheap operations.
  case everySecondProduct
  /// Whole layers, every second one.
  case everySecondLayer
  case full
}

/// How attention is computed.
package enum AttentionKernel: String, Hashable, Sendable, CaseIterable {
  /// Scores are written to memory (Vaswani et al. 2017).
  case unfused
  case flash1, flash2, flash3
}
