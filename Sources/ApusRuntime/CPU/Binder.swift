import ApusCommunication
import ApusCore
import ApusProgram
import CApusKernels
import CApusMatrix

/// Turns instructions into calls of kernels with fixed addresses. Everything that can fail fails here;
/// running a bound instruction allocates nothing.
struct Binder {
  /// Runs one instruction for a micro-batch.
  typealias Kernel = (_ microbatch: Int) throws(CommunicationError) -> Void

  let base: UnsafeMutableRawPointer
  let plan: MemoryPlan
  let products: ProductCache
  let ranks: RankGroups
  let transfers = TransfersUnderWay()

  func bind(_ call: Instruction, workspace: UnsafeMutableRawPointer?) throws(RuntimeFailure) -> Kernel {
    switch call.op {
    case .embedding(let op):
      if let vocabulary = op.vocabulary { return bindEmbedding(vocabulary, call) }
      return elements(call.outputs[0].tensor).bindEmbedding(self, call)
    case .embeddingGradient(let op):
      let kernels = gradients(of: call.inputs[1], call)
      return op.vocabulary.map { kernels.bindEmbeddingGradient($0, self, call) }
        ?? kernels.bindEmbeddingGradient(self, call)
    case .positions(let op):
      let kernels = elements(call.inputs[0])
      return op.rows.map { kernels.bindPositions(op, rows: $0, self, call) }
        ?? kernels.bindPositions(op, self, call)
    case .positionsGradient(let op):
      let kernels = gradients(of: call.inputs[0], call)
      return op.rows.map { kernels.bindPositionsGradient(op, rows: $0, self, call) }
        ?? kernels.bindPositionsGradient(op, self, call)
    case .layerNorm(let op): return elements(call.inputs[0]).bindLayerNorm(op, self, call)
    case .layerNormGradient: return elements(call.inputs[0]).bindLayerNormGradient(self, call)
    case .layerNormWeightGradient:
      return gradients(of: call.inputs[0], call).bindLayerNormWeightGradient(self, call)
    case .rmsNorm(let op): return elements(call.inputs[0]).bindRMSNorm(op, self, call)
    case .rmsNormGradient: return elements(call.inputs[0]).bindRMSNormGradient(self, call)
    case .rmsNormWeightGradient:
      return gradients(of: call.inputs[0], call).bindRMSNormWeightGradient(self, call)
    case .gelu: return elements(call.inputs[0]).bindGELU(self, call)
    case .geluGradient: return elements(call.inputs[0]).bindGELUGradient(self, call)
    case .swiglu: return elements(call.inputs[0]).bindSwiGLU(self, call)
    case .swigluGradient: return elements(call.inputs[0]).bindSwiGLUGradient(self, call)
    case .rotary(let op): return elements(call.inputs[0]).bindRotary(op, self, call)
    case .attention(let op): return elements(call.inputs[0]).bindAttention(op, self, call, workspace)
    case .attentionGradient(let op):
      return elements(call.inputs[0]).bindAttentionGradient(op, self, call, workspace)
    case .cachedAttention(let op):
      return elements(call.inputs[0]).bindCachedAttention(op, self, call, workspace)
    case .add: return elements(call.inputs[0]).bindAdd(self, call)
    case .copy: return elements(call.inputs[0]).bindCopy(self, call)
    case .columnSum: return gradients(of: call.inputs[0], call).bindColumnSum(self, call)
    case .linear(let op): return try bindLinear(op, call, workspace)
    case .product(let op): return try bindProduct(op, call, workspace)
    case .headLoss: return try bindHead(call, workspace)
    case .headLossGradient(let op):
      return try elements(call.inputs[0]).bindHeadGradient(op, self, call, workspace)
    case .addLayerNorm(let op): return elements(call.inputs[0]).bindAddLayerNorm(op, self, call)
    case .addRMSNorm(let op): return elements(call.inputs[0]).bindAddRMSNorm(op, self, call)
    case .biasGELU: return elements(call.inputs[0]).bindBiasGELU(self, call)
    case .biasGELUGradient:
      return gradients(from: call.inputs[0].type, into: call.outputs[1].tensor.type).bindBiasGELUGradient(
        self, call)
    case .bias: return elements(call.inputs[0]).bindBias(self, call)
    case .crossEntropyStatistics(let op): return bindStatistics(op, call)
    case .crossEntropyLosses(let op): return bindLosses(op, call)
    case .crossEntropyGradient(let op): return bindGradient(op, call)
    case .move(let move): return bindMove(move, call)
    case .startMove(let start): return bindStart(start, call)
    case .waitMove(let wait): return bindWait(wait, call)
    case .send, .receive, .contextAttention, .contextAttentionGradient, .columnSlice, .columnSliceGradient,
      .route, .routeGradient, .dispatch, .dispatchGradient, .expertLinear, .expertProduct, .combine,
      .combineGradient:
      require(false, "\(call.label): axes that nothing runs along are refused before anything is bound")
      return { _ in }
    case .zero: return bindZero(call)
    case .materialise:
      require(false, "\(call.label): a unit is materialised by a pass, not by a backend")
      return { _ in }
    case .dropout(let op): return elements(call.inputs[0]).bindDropout(op, self, call)
    case .dropoutGradient(let op): return elements(call.inputs[0]).bindDropoutGradient(op, self, call)
    case .dropoutAdd(let op): return elements(call.inputs[0]).bindDropoutAdd(op, self, call)
    case .sumOfSquares(let op): return bindSumOfSquares(op, call)
    case .clip(let op): return bindClip(op, call)
    case .adamW(let op): return bindAdamW(op, call)
    }
  }

  // MARK: Types

  /// The kernels of a tensor's element type.
  func elements(_ tensor: Tensor) -> any ElementKernels.Type { Self.elements(tensor.type) }

  static func elements(_ type: ElementType) -> any ElementKernels.Type {
    switch type {
    case .float32: return Float32Kernels.self
    case .bfloat16: return BFloat16Kernels.self
    case .float16: return Float16Kernels.self
    case .float64, .int32, .uint8:
      require(false, "no kernels of \(type)")
      return Float32Kernels.self
    }
  }

  /// The kernels that sum from the type of `x` into the type of the first output.
  func gradients(of x: Tensor, _ call: Instruction) -> any GradientKernels.Type {
    gradients(from: x.type, into: call.outputs[0].tensor.type)
  }

  func gradients(from element: ElementType, into sum: ElementType) -> any GradientKernels.Type {
    switch (element, sum) {
    case (.float32, .float32): return Float32Gradients.self
    case (.bfloat16, .float32): return BFloat16ToFloat32Gradients.self
    case (.bfloat16, .bfloat16): return BFloat16Gradients.self
    case (.float16, .float32): return Float16ToFloat32Gradients.self
    default:
      require(false, "no kernels that sum \(element) into \(sum)")
      return Float32Gradients.self
    }
  }

  // MARK: Addresses

  func address(_ tensor: Tensor) -> UnsafeMutableRawPointer {
    guard let offset = plan.offsets[tensor.storage] else {
      require(false, "storage \(tensor.storage) has no place in the plan")
      return base
    }
    let shift = tensor.shift?.range(at: ranks.position).lowerBound ?? 0
    return base + offset + (tensor.offset + shift) * tensor.type.byteCount
  }

  func pointer<Element>(
    _ tensor: Tensor, _ type: ElementType, as element: Element.Type
  ) -> UnsafeMutablePointer<Element> {
    require(tensor.type == type, "a \(type) kernel was given \(tensor.type)")
    return address(tensor).assumingMemoryBound(to: Element.self)
  }

  func floats(_ tensor: Tensor) -> UnsafeMutablePointer<Float> { pointer(tensor, .float32, as: Float.self) }

  func floats(_ destination: Destination) -> UnsafeMutablePointer<Float> { floats(destination.tensor) }

  func doubles(_ tensor: Tensor) -> UnsafeMutablePointer<Double> {
    pointer(tensor, .float64, as: Double.self)
  }

  func ints(_ tensor: Tensor) -> UnsafeMutablePointer<Int32> { pointer(tensor, .int32, as: Int32.self) }

  func shape(_ tensor: Tensor) -> (rows: Int64, columns: Int64) {
    (Int64(tensor.rows), Int64(tensor.columns))
  }
}

extension Destination {
  /// 1 where the kernel adds.
  func flag(_ microbatch: Int) -> Int32 { accumulates(microbatch: microbatch) ? 1 : 0 }
}
