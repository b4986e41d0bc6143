/// The reference's interactive memory widget as a formula (domain reference C1), to compare with what a plan
/// counts.
///
/// Symbols as there: s, b, h, h_ff, a, L, v; bpv bytes a value, t tensor-parallel degree.
package struct MemoryWidget: Hashable, Sendable {
  package enum Activation: String, Hashable, Sendable, CaseIterable { case relu, gelu, swiglu }

  package var shape: TransformerShape
  /// h_ff
  package var intermediateSize: Int
  package var sequenceLength: Int
  package var microBatchSize: Int
  /// k, bytes a parameter of both moments.
  package var optimizerBytes: Int
  package var tensorDegree: Int
  package var dataDegree: Int
  package var zeroStage: Int
  package var isMixedPrecision: Bool
  package var recomputation: ActivationFormula.Recomputation
  package var activation: Activation
  package var isSequenceParallel: Bool
  /// Whether the attention matrices stay undivided under sequence parallelism, as the published widget has it;
  /// they are divided in fact (erratum 7).
  package var repeatsErratum7: Bool

  package init(
    _ shape: TransformerShape, intermediateSize: Int? = nil, sequenceLength: Int, microBatchSize: Int,
    optimizerBytes: Int = 8, tensorDegree: Int = 1, dataDegree: Int = 1, zeroStage: Int = 0,
    isMixedPrecision: Bool = true, recomputation: ActivationFormula.Recomputation = .none,
    activation: Activation = .gelu, isSequenceParallel: Bool = false, repeatsErratum7: Bool = false
  ) {
    self.shape = shape
    self.intermediateSize = intermediateSize ?? 4 * shape.hiddenSize
    self.sequenceLength = sequenceLength
    self.microBatchSize = microBatchSize
    self.optimizerBytes = optimizerBytes
    self.tensorDegree = tensorDegree
    self.dataDegree = dataDegree
    self.zeroStage = zeroStage
    self.isMixedPrecision = isMixedPrecision
    self.recomputation = recomputation
    self.activation = activation
    self.isSequenceParallel = isSequenceParallel
    self.repeatsErratum7 = repeatsErratum7
  }

  private var valueBytes: Double { isMixedPrecision ? 2 : 4 }
  private var t: Double { Double(tensorDegree) }
  /// Elements of a hidden state.
  private var sbh: Double { Double(sequenceLength * microBatchSize) * Double(shape.hiddenSize) }
  private var hiddenShare: Double { isSequenceParallel ? sbh / t : sbh }

  /// Bytes of a layer's attention.
  package var attention: Double {
    let linear = sbh * 4 * valueBytes / t + hiddenShare * (valueBytes + 1)
    guard recomputation == .none else { return linear }
    let matrices =
      (2 * valueBytes + 1) * Double(shape.headCount) * Double(sequenceLength) * Double(sequenceLength)
      * Double(microBatchSize)
    return linear + (isSequenceParallel && repeatsErratum7 ? matrices : matrices / t)
  }

  /// Bytes of a layer's feed-forward block.
  package var feedForward: Double {
    let wide =
      Double(sequenceLength * microBatchSize) * Double(intermediateSize) * valueBytes / t
    let function: Double =
      switch activation {
      case .relu: 0
      case .gelu: wide
      case .swiglu: 3 * wide
      }
    return hiddenShare * valueBytes + wide + function + hiddenShare
  }

  /// Bytes of a layer's two norms.
  package var norms: Double { 2 * hiddenShare * valueBytes }

  /// Bytes outside the layers: input dropout, output norm, projection, cross-entropy.
  package var once: Double {
    let logits = 4 * Double(sequenceLength * microBatchSize) * Double(shape.vocabularySize)
    return hiddenShare * (1 + 2 * valueBytes) + (isSequenceParallel ? logits / t : logits)
  }

  package var activations: Double {
    let layer =
      recomputation == .full ? sbh * valueBytes : attention + feedForward + norms
    return Double(shape.layerCount) * layer + once
  }

  /// n = h (v + s) + L (12 h² + 13 h) + 2 h; s h more than S9 (erratum 9).
  package var parameterCount: Int { shape.parameterCount(withPositions: sequenceLength) }

  private func share(from stage: Int) -> Double { zeroStage >= stage ? Double(dataDegree) : 1 }

  package var parameters: Double { valueBytes * Double(parameterCount) / share(from: 3) }
  package var gradients: Double { valueBytes * Double(parameterCount) / share(from: 2) }
  package var optimizer: Double {
    Double(optimizerBytes + (isMixedPrecision ? 4 : 0)) * Double(parameterCount) / share(from: 1)
  }

  package var total: Double { activations + parameters + gradients + optimizer }
}
