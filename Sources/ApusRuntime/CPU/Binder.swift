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

  func bind(_ instruction: Instruction, workspace: UnsafeMutableRawPointer?) throws(RuntimeFailure) -> Kernel
  {
    let inputs = instruction.inputs
    let outputs = instruction.outputs
    switch instruction.op {
    case .embedding(let embedding):
      if let vocabulary = embedding.vocabulary { return bindEmbedding(vocabulary, instruction) }
      let (out, ids, table) = (floats(outputs[0]), ints(inputs[0]), floats(inputs[1]))
      let (rows, columns) = (Int64(inputs[0].count), Int64(inputs[1].columns))
      return { _ in apus_embedding_forward_f32(out, table, ids, rows, columns) }
    case .embeddingGradient(let gradient):
      if let vocabulary = gradient.vocabulary { return bindEmbeddingGradient(vocabulary, instruction) }
      let (table, ids, gradient) = (floats(outputs[0]), ints(inputs[0]), floats(inputs[1]))
      let (rows, columns, size) = (
        Int64(inputs[1].rows), Int64(inputs[1].columns), Int64(outputs[0].tensor.rows)
      )
      return {
        apus_embedding_backward_f32(
          table, gradient, ids, rows, columns, size, outputs[0].flag($0))
      }
    case .positions(let positions):
      if let rows = positions.rows { return bindPositions(positions, rows: rows, instruction) }
      let (out, x, table) = (floats(outputs[0]), floats(inputs[0]), floats(inputs[1]))
      let start = inputs.count > 2 ? ints(inputs[2]) : nil
      let (rows, columns) = shape(inputs[0])
      let length = Int64(positions.sequenceLength)
      return { _ in
        apus_position_forward_f32(out, x, table, rows, columns, length, start.map { Int64($0.pointee) } ?? 0)
      }
    case .positionsGradient(let positions):
      if let rows = positions.rows { return bindPositionsGradient(positions, rows: rows, instruction) }
      let (table, gradient) = (floats(outputs[0]), floats(inputs[0]))
      let (rows, columns) = shape(inputs[0])
      let (length, size) = (Int64(positions.sequenceLength), Int64(outputs[0].tensor.rows))
      return {
        apus_position_backward_f32(table, gradient, rows, columns, length, size, outputs[0].flag($0))
      }
    case .layerNorm(let norm):
      let (y, mean, rstd) = (floats(outputs[0]), floats(outputs[1]), floats(outputs[2]))
      let (x, w, b) = (floats(inputs[0]), floats(inputs[1]), floats(inputs[2]))
      let (rows, columns) = shape(inputs[0])
      let epsilon = Float(norm.epsilon)
      return { _ in apus_layernorm_forward_f32(y, mean, rstd, x, w, b, rows, columns, epsilon) }
    case .layerNormGradient:
      let dx = floats(outputs[0])
      let (dy, x, w) = (floats(inputs[0]), floats(inputs[1]), floats(inputs[2]))
      let (mean, rstd) = (floats(inputs[3]), floats(inputs[4]))
      let (rows, columns) = shape(inputs[0])
      return { apus_layernorm_backward_f32(dx, dy, x, w, mean, rstd, rows, columns, outputs[0].flag($0)) }
    case .layerNormWeightGradient:
      let (dw, db) = (floats(outputs[0]), floats(outputs[1]))
      let (dy, x, mean, rstd) = (
        floats(inputs[0]), floats(inputs[1]), floats(inputs[2]), floats(inputs[3])
      )
      let (rows, columns) = shape(inputs[0])
      return {
        apus_layernorm_backward_weights_f32(
          dw, db, dy, x, mean, rstd, rows, columns, outputs[0].flag($0), outputs[1].flag($0))
      }
    case .rmsNorm(let norm):
      let (y, rstd, x, w) = (floats(outputs[0]), floats(outputs[1]), floats(inputs[0]), floats(inputs[1]))
      let (rows, columns) = shape(inputs[0])
      let epsilon = Float(norm.epsilon)
      return { _ in apus_rmsnorm_forward_f32(y, rstd, x, w, rows, columns, epsilon) }
    case .rmsNormGradient:
      let dx = floats(outputs[0])
      let (dy, x, w, rstd) = (floats(inputs[0]), floats(inputs[1]), floats(inputs[2]), floats(inputs[3]))
      let (rows, columns) = shape(inputs[0])
      return { apus_rmsnorm_backward_f32(dx, dy, x, w, rstd, rows, columns, outputs[0].flag($0)) }
    case .rmsNormWeightGradient:
      let (dw, dy, x, rstd) = (floats(outputs[0]), floats(inputs[0]), floats(inputs[1]), floats(inputs[2]))
      let (rows, columns) = shape(inputs[0])
      return { apus_rmsnorm_backward_weights_f32(dw, dy, x, rstd, rows, columns, outputs[0].flag($0)) }
    case .gelu:
      let (y, x, count) = (floats(outputs[0]), floats(inputs[0]), Int64(inputs[0].count))
      return { _ in apus_gelu_forward_f32(y, x, count) }
    case .geluGradient:
      let (dx, dy, x) = (floats(outputs[0]), floats(inputs[0]), floats(inputs[1]))
      let count = Int64(inputs[0].count)
      return { apus_gelu_backward_f32(dx, dy, x, count, outputs[0].flag($0)) }
    case .swiglu:
      let (y, x) = (floats(outputs[0]), floats(inputs[0]))
      let (rows, columns) = shape(outputs[0].tensor)
      return { _ in apus_swiglu_forward_f32(y, x, rows, columns) }
    case .swigluGradient:
      let (dx, dy, x) = (floats(outputs[0]), floats(inputs[0]), floats(inputs[1]))
      let (rows, columns) = shape(inputs[0])
      return { apus_swiglu_backward_f32(dx, dy, x, rows, columns, outputs[0].flag($0)) }
    case .rotary(let rotary):
      let (out, x, cosines, sines) = (
        floats(outputs[0]), floats(inputs[0]), floats(inputs[1]), floats(inputs[2])
      )
      let start = inputs.count > 3 ? ints(inputs[3]) : nil
      let (rows, columns) = shape(inputs[0])
      let (heads, size, length) = (
        Int64(rotary.headCount), Int64(rotary.headSize), Int64(rotary.sequenceLength)
      )
      let direction: Int32 = rotary.direction == .forward ? 1 : -1
      return { _ in
        apus_rotary_f32(
          out, x, cosines, sines, rows, columns, heads, size, length,
          start.map { Int64($0.pointee) } ?? 0, direction)
      }
    case .attention(let attention):
      return bindAttention(attention, instruction, workspace)
    case .attentionGradient(let gradient):
      return bindAttentionGradient(gradient, instruction, workspace)
    case .cachedAttention(let cached):
      let (o, keys, values) = (floats(outputs[0]), floats(outputs[1]), floats(outputs[2]))
      let (qkv, start) = (floats(inputs[0]), ints(inputs[1]))
      let heads = cached.heads
      let shape = CPUCatalogue.shape(heads, batch: 1, sequenceLength: inputs[0].rows)
      return { _ in
        withUnsafePointer(to: shape) {
          apus_attention_cached_f32(
            $0, o, qkv, qkv + heads.queryWidth, qkv + heads.queryWidth + heads.keyWidth, keys, values,
            Int64(start.pointee), workspace)
        }
      }
    case .add:
      let (out, a, b, count) = (
        floats(outputs[0]), floats(inputs[0]), floats(inputs[1]), Int64(inputs[0].count)
      )
      return { _ in apus_add_f32(out, a, b, count) }
    case .copy:
      let (out, a, count) = (floats(outputs[0]), floats(inputs[0]), Int64(inputs[0].count))
      return { apus_copy_f32(out, a, count, outputs[0].flag($0)) }
    case .columnSum:
      let (out, x) = (floats(outputs[0]), floats(inputs[0]))
      let (rows, columns) = shape(inputs[0])
      return { apus_column_sum_f32(out, x, rows, columns, columns, outputs[0].flag($0)) }
    case .linear(let linear):
      let product = try product(ProductShape(linear, instruction), instruction.label)
      let (y, x, w) = (floats(outputs[0]), floats(inputs[0]), floats(inputs[1]))
      let bias = inputs.count > 2 ? floats(inputs[2]) : nil
      return { _ in run(product, x, w, y, bias, workspace) }
    case .product(let operation):
      let shape = ProductShape(operation, instruction)
      let (c, a, b) = (floats(outputs[0]), floats(inputs[0]), floats(inputs[1]))
      let overwriting = try product(shape, instruction.label)
      let adding = try product(shape.accumulating(true), instruction.label)
      return {
        run(outputs[0].accumulates(microbatch: $0) ? adding : overwriting, a, b, c, nil, workspace)
      }
    case .headLoss, .headLossGradient:
      return try bindHead(instruction, workspace)
    case .bias: return bindBias(instruction)
    case .crossEntropyStatistics(let op): return bindStatistics(op, instruction)
    case .crossEntropyLosses(let op): return bindLosses(op, instruction)
    case .crossEntropyGradient(let op): return bindGradient(op, instruction)
    case .move(let move): return bindMove(move, instruction)
    case .startMove(let start): return bindStart(start, instruction)
    case .waitMove(let wait): return bindWait(wait, instruction)
    case .materialise:
      require(false, "\(instruction.label): a unit is materialised by a pass, not by a backend")
      return { _ in }
    case .sumOfSquares(let op): return bindSumOfSquares(op, instruction)
    case .clip(let clip):
      let (sum, norm, coefficient) = (doubles(inputs[0]), floats(outputs[0]), floats(outputs[1]))
      return { _ in
        let value = sum.pointee.squareRoot()
        norm.pointee = Float(value)
        coefficient.pointee =
          clip.maximumNorm > 0 ? Float(min(1, clip.maximumNorm / (value + 1e-6))) : 1
      }
    case .adamW(let adamW):
      return bindAdamW(adamW, instruction)
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

  func floats(_ tensor: Tensor) -> UnsafeMutablePointer<Float> {
    require(tensor.type == .float32, "a float32 kernel was given \(tensor.type)")
    return address(tensor).assumingMemoryBound(to: Float.self)
  }

  func floats(_ destination: Destination) -> UnsafeMutablePointer<Float> { floats(destination.tensor) }

  func doubles(_ tensor: Tensor) -> UnsafeMutablePointer<Double> {
    require(tensor.type == .float64, "a float64 kernel was given \(tensor.type)")
    return address(tensor).assumingMemoryBound(to: Double.self)
  }

  func ints(_ tensor: Tensor) -> UnsafeMutablePointer<Int32> {
    require(tensor.type == .int32, "an int32 kernel was given \(tensor.type)")
    return address(tensor).assumingMemoryBound(to: Int32.self)
  }

  func shape(_ tensor: Tensor) -> (rows: Int64, columns: Int64) {
    (Int64(tensor.rows), Int64(tensor.columns))
  }

  func product(_ shape: ProductShape, _ label: String) throws(RuntimeFailure) -> OpaquePointer {
    do { return try products.product(shape) } catch {
      throw .matrixLibrary(label: label, reason: error.reason)
    }
  }
}

extension Destination {
  /// 1 where the kernel adds.
  func flag(_ microbatch: Int) -> Int32 { accumulates(microbatch: microbatch) ? 1 : 0 }
}

/// Runs a product that was made for these operands.
func run(
  _ product: OpaquePointer, _ a: UnsafePointer<Float>, _ b: UnsafePointer<Float>,
  _ c: UnsafeMutablePointer<Float>, _ bias: UnsafePointer<Float>?, _ scratch: UnsafeMutableRawPointer?
) {
  let status = apus_product_run(product, a, b, c, bias, scratch)
  require(status == 0, "the matrix library failed while running a product: status \(status)")
}
