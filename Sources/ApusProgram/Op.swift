/// The closed list of operations. Backends and passes switch over it without a default, so that adding an
/// operation fails to compile in every reader that does not know it.
package enum Op: Hashable, Sendable {
  // Recorded by models.
  case embedding(Embedding)
  case positions(Positions)
  case layerNorm(LayerNorm)
  case rmsNorm(RMSNorm)
  case linear(Linear)
  case gelu(GELU)
  case swiglu(SwiGLU)
  case rotary(Rotary)
  case attention(Attention)
  case cachedAttention(CachedAttention)
  case add(Add)
  case dropout(Dropout)
  case headLoss(HeadLoss)
  case bias(Bias)
  case move(Move)
  case materialise(Materialise)
  case contextAttention(ContextAttention)
  case columnSlice(ColumnSlice)
  case route(Route)
  case dispatch(Dispatch)
  case expertLinear(ExpertLinear)
  case combine(Combine)
  case send(Send)
  case receive(Receive)
  // Emitted by gradient rules.
  case embeddingGradient(EmbeddingGradient)
  case positionsGradient(PositionsGradient)
  case layerNormGradient(LayerNormGradient)
  case layerNormWeightGradient(LayerNormWeightGradient)
  case rmsNormGradient(RMSNormGradient)
  case rmsNormWeightGradient(RMSNormWeightGradient)
  case product(Product)
  case columnSum(ColumnSum)
  case geluGradient(GELUGradient)
  case swigluGradient(SwiGLUGradient)
  case attentionGradient(AttentionGradient)
  case contextAttentionGradient(ContextAttentionGradient)
  case columnSliceGradient(ColumnSliceGradient)
  case routeGradient(RouteGradient)
  case dispatchGradient(DispatchGradient)
  case expertProduct(ExpertProduct)
  case combineGradient(CombineGradient)
  case headLossGradient(HeadLossGradient)
  case copy(Copy)
  case crossEntropyStatistics(CrossEntropyStatistics)
  case crossEntropyLosses(CrossEntropyLosses)
  case crossEntropyGradient(CrossEntropyGradient)
  case startMove(StartMove)
  case waitMove(WaitMove)
  case dropoutGradient(DropoutGradient)
  // Emitted by fusion.
  case addLayerNorm(AddLayerNorm)
  case addRMSNorm(AddRMSNorm)
  case biasGELU(BiasGELU)
  case biasGELUGradient(BiasGELUGradient)
  case dropoutAdd(DropoutAdd)
  // Recorded by the optimizer.
  case zero(Zero)
  case sumOfSquares(SumOfSquares)
  case clip(Clip)
  case adamW(AdamW)

  /// The payload.
  package var operation: any Operation {
    switch self {
    case .embedding(let o): o
    case .positions(let o): o
    case .layerNorm(let o): o
    case .rmsNorm(let o): o
    case .linear(let o): o
    case .gelu(let o): o
    case .swiglu(let o): o
    case .rotary(let o): o
    case .attention(let o): o
    case .cachedAttention(let o): o
    case .add(let o): o
    case .dropout(let o): o
    case .headLoss(let o): o
    case .bias(let o): o
    case .move(let o): o
    case .materialise(let o): o
    case .contextAttention(let o): o
    case .columnSlice(let o): o
    case .route(let o): o
    case .dispatch(let o): o
    case .expertLinear(let o): o
    case .combine(let o): o
    case .send(let o): o
    case .receive(let o): o
    case .embeddingGradient(let o): o
    case .positionsGradient(let o): o
    case .layerNormGradient(let o): o
    case .layerNormWeightGradient(let o): o
    case .rmsNormGradient(let o): o
    case .rmsNormWeightGradient(let o): o
    case .product(let o): o
    case .columnSum(let o): o
    case .geluGradient(let o): o
    case .swigluGradient(let o): o
    case .attentionGradient(let o): o
    case .contextAttentionGradient(let o): o
    case .columnSliceGradient(let o): o
    case .routeGradient(let o): o
    case .dispatchGradient(let o): o
    case .expertProduct(let o): o
    case .combineGradient(let o): o
    case .headLossGradient(let o): o
    case .copy(let o): o
    case .crossEntropyStatistics(let o): o
    case .crossEntropyLosses(let o): o
    case .crossEntropyGradient(let o): o
    case .startMove(let o): o
    case .waitMove(let o): o
    case .dropoutGradient(let o): o
    case .addLayerNorm(let o): o
    case .addRMSNorm(let o): o
    case .biasGELU(let o): o
    case .biasGELUGradient(let o): o
    case .dropoutAdd(let o): o
    case .zero(let o): o
    case .sumOfSquares(let o): o
    case .clip(let o): o
    case .adamW(let o): o
    }
  }

  /// Name in traces and tables.
  package var name: String { type(of: operation).name }
}
