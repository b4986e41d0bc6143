import ApusCore
import ApusProgram
import CApusKernels
import CApusMatrix

/// What the CPU backend needs beside an instruction's operands, in bytes: part of the plan.
package struct CPUCatalogue {
  private let threads: Int
  private let products: ProductCache

  package init(threads: Int, products: ProductCache = ProductCache()) {
    self.threads = threads
    self.products = products
  }

  /// Scratch memory of `instruction`.
  package func workspace(_ instruction: Instruction) -> Int {
    switch instruction.op {
    case .attention(let attention):
      return attentionScratch(attention, instruction.inputs[0], backward: false)
    case .attentionGradient(let gradient):
      return attentionScratch(gradient.forward, instruction.inputs[1], backward: true)
    case .cachedAttention(let cached):
      let shape = Self.shape(cached.heads, batch: 1, sequenceLength: instruction.inputs[0].rows)
      return attentionScratch(shape, instruction.inputs[0].type, backward: false)
    case .headLoss, .headLossGradient:
      return HeadChunks(instruction).workspaceByteCount
        + ProductShape.all(of: instruction).reduce(0) { max($0, scratch($1)) }
    case .linear, .product:
      return ProductShape.all(of: instruction).reduce(0) { max($0, scratch($1)) }
    case .embedding, .positions, .layerNorm, .rmsNorm, .gelu, .swiglu, .rotary, .add, .embeddingGradient,
      .positionsGradient, .layerNormGradient, .layerNormWeightGradient, .rmsNormGradient,
      .rmsNormWeightGradient, .columnSum, .geluGradient, .swigluGradient, .copy, .addLayerNorm, .addRMSNorm,
      .biasGELU, .biasGELUGradient, .dropout, .dropoutGradient, .dropoutAdd, .sumOfSquares, .clip, .adamW,
      .bias, .crossEntropyStatistics, .crossEntropyLosses, .crossEntropyGradient, .move, .startMove,
      .waitMove, .materialise, .send, .receive, .zero,
      .contextAttention, .contextAttentionGradient, .columnSlice, .columnSliceGradient,
      .route, .routeGradient, .dispatch, .dispatchGradient, .expertLinear, .expertProduct, .combine,
      .combineGradient:
      return 0
    }
  }

  /// Scratch of a product; a product that the library refuses is reported when the program is prepared.
  private func scratch(_ shape: ProductShape) -> Int {
    // The library divides a product among the threads of whoever makes it.
    let before = apus_thread_count()
    apus_set_thread_count(Int32(threads))
    defer { apus_set_thread_count(before) }
    return (try? products.product(shape)).map { Int(apus_product_scratch_bytes($0)) } ?? 0
  }

  private func attentionScratch(_ attention: Attention, _ qkv: Tensor, backward: Bool) -> Int {
    let shape = Self.shape(
      attention.heads, batch: qkv.rows / attention.sequenceLength, sequenceLength: attention.sequenceLength)
    return attentionScratch(shape, qkv.type, backward: backward)
  }

  private func attentionScratch(
    _ shape: apus_attention_shape, _ type: ElementType, backward: Bool
  ) -> Int {
    withUnsafePointer(to: shape) {
      Int(Binder.elements(type).attentionScratchBytes($0, Int32(threads), backward ? 1 : 0))
    }
  }

  /// The kernel's view of queries, keys and values side by side in one matrix.
  static func shape(_ heads: HeadShape, batch: Int, sequenceLength: Int) -> apus_attention_shape {
    let width = Int64(heads.width)
    let output = Int64(heads.queryWidth)
    return apus_attention_shape(
      batch: Int64(batch), S: Int64(sequenceLength), Hq: Int64(heads.headCount),
      Hkv: Int64(heads.keyValueHeadCount), headSize: Int64(heads.headSize), q_stride: width, k_stride: width,
      v_stride: width, o_stride: output, dq_stride: width, dk_stride: width, dv_stride: width,
      do_stride: output, scale: 1 / Float(heads.headSize).squareRoot())
  }
}

/// How the fused head divides its rows: as few chunks as keep the logits of one within `byteLimit`. With fewer
/// than about 512 rows of GPT-2's vocabulary the products lose a tenth of their speed.
struct HeadChunks {
  static let byteLimit = 128 << 20
  let rows: Int
  let vocabulary: Int
  let chunkRows: Int

  init(_ instruction: Instruction) {
    rows = instruction.inputs[0].rows
    vocabulary = instruction.inputs[1].rows
    let most = max(1, Self.byteLimit / (4 * vocabulary))
    let chunks = (rows + most - 1) / most
    chunkRows = (rows + chunks - 1) / chunks
  }

  /// First row and row count of each chunk.
  var ranges: [(first: Int, count: Int)] {
    stride(from: 0, to: rows, by: chunkRows).map { ($0, min(chunkRows, rows - $0)) }
  }

  var logitsByteCount: Int { (chunkRows * vocabulary * 4 + 255) / 256 * 256 }
  var lossesByteCount: Int { (chunkRows * 4 + 255) / 256 * 256 }
  /// Logits of one chunk, losses of one chunk; the matrix library's scratch follows them.
  var workspaceByteCount: Int { logitsByteCount + lossesByteCount }
}
