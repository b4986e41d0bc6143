import ApusProgram
import CApusKernels

extension Binder {
  private struct Chunk {
    var rows: Int64
    var x: UnsafeMutablePointer<Float>
    var targets: UnsafeMutablePointer<Int32>
    var losses: UnsafeMutablePointer<Float>
    var logits: OpaquePointer
  }

  /// The fused head: logits of a chunk of rows, their cross-entropy, and when training dx and dW from the
  /// same logits while they are warm.
  func bindHead(
    _ instruction: Instruction, _ workspace: UnsafeMutableRawPointer?
  ) throws(RuntimeFailure) -> Kernel {
    let chunks = HeadChunks(instruction)
    guard let workspace else { return { _ in } }
    let logits = workspace.assumingMemoryBound(to: Float.self)
    let chunkLosses = (workspace + chunks.logitsByteCount).assumingMemoryBound(to: Float.self)
    let scratch = workspace + chunks.workspaceByteCount
    let w = floats(instruction.inputs[1])
    let vocabulary = Int64(chunks.vocabulary)
    let isTraining = instruction.outputs.count > 1
    var bound: [Chunk] = []
    for range in chunks.ranges {
      bound.append(
        Chunk(
          rows: Int64(range.count),
          x: floats(instruction.inputs[0]) + range.first * instruction.inputs[0].columns,
          targets: ints(instruction.inputs[2]) + range.first,
          losses: isTraining ? chunkLosses : floats(instruction.outputs[0]) + range.first,
          logits: try product(ProductShape.head(rows: range.count, instruction).logits, instruction.label)))
    }
    let forward = bound
    guard isTraining else {
      return { _ in
        for chunk in forward {
          run(chunk.logits, chunk.x, w, logits, nil, scratch)
          apus_cross_entropy_forward_f32(chunk.losses, logits, chunk.targets, chunk.rows, vocabulary)
        }
      }
    }
    return try bindHeadGradient(instruction, chunks, forward, w, logits, scratch)
  }

  private func bindHeadGradient(
    _ instruction: Instruction, _ chunks: HeadChunks, _ bound: [Chunk], _ w: UnsafeMutablePointer<Float>,
    _ logits: UnsafeMutablePointer<Float>, _ scratch: UnsafeMutableRawPointer
  ) throws(RuntimeFailure) -> Kernel {
    struct Products {
      var dx, dw, addingDx, addingDw: OpaquePointer
    }
    var products: [Products] = []
    for range in chunks.ranges {
      let head = ProductShape.head(rows: range.count, instruction)
      products.append(
        Products(
          dx: try product(head.dx, instruction.label), dw: try product(head.dw, instruction.label),
          addingDx: try product(head.dx.accumulating(true), instruction.label),
          addingDw: try product(head.dw.accumulating(true), instruction.label)))
    }
    let gradients = products
    let (loss, dx, dw) = (
      floats(instruction.outputs[0]), floats(instruction.outputs[1]), floats(instruction.outputs[2])
    )
    let destinations = instruction.outputs
    let weight = floats(instruction.inputs[3]) + Control.tokenWeight.rawValue
    let vocabulary = Int64(chunks.vocabulary)
    let firstX = floats(instruction.inputs[0])
    return { microbatch in
      var sum = 0.0
      let addsX = destinations[1].accumulates(microbatch: microbatch)
      let addsW = destinations[2].accumulates(microbatch: microbatch)
      for (index, chunk) in bound.enumerated() {
        run(chunk.logits, chunk.x, w, logits, nil, scratch)
        apus_cross_entropy_backward_f32(
          chunk.losses, logits, chunk.targets, chunk.rows, vocabulary, weight.pointee)
        for row in 0..<Int(chunk.rows) { sum += Double(chunk.losses[row]) }
        let products = gradients[index]
        run(addsX ? products.addingDx : products.dx, logits, w, dx + (chunk.x - firstX), nil, scratch)
        run(addsW || index > 0 ? products.addingDw : products.dw, logits, chunk.x, dw, nil, scratch)
      }
      let weighted = Float(sum * Double(weight.pointee))
      loss.pointee = destinations[0].accumulates(microbatch: microbatch) ? loss.pointee + weighted : weighted
    }
  }

  func bindAdamW(_ adamW: AdamW, _ instruction: Instruction) -> Kernel {
    let (p, m, v) = (
      floats(instruction.outputs[0]), floats(instruction.outputs[1]), floats(instruction.outputs[2])
    )
    let (gradient, coefficient, control) = (
      floats(instruction.inputs[0]), floats(instruction.inputs[1]), floats(instruction.inputs[2])
    )
    let ranges = adamW.ranges.map { (elements: $0.stretch.range(at: ranks.position), decays: $0.decays) }
    return { _ in
      for range in ranges where !range.elements.isEmpty {
        let offset = range.elements.lowerBound
        apus_adamw_f32(
          p + offset, m + offset, v + offset, gradient + offset, Int64(range.elements.count),
          control[Control.learningRate.rawValue], Float(adamW.beta1), Float(adamW.beta2),
          Float(adamW.epsilon), range.decays ? Float(adamW.weightDecay) : 0,
          control[Control.correction1.rawValue], control[Control.correction2.rawValue], coefficient.pointee)
      }
    }
  }
}
