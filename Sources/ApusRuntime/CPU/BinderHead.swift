import ApusCore
import ApusProgram
import CApusKernels

/// A chunk of the fused head's rows: where its operands lie and the product that makes its logits.
private struct HeadChunk {
  var rows: Int64
  var x: UnsafeMutableRawPointer
  var targets: UnsafeMutablePointer<Int32>
  var logits: OpaquePointer

  /// The chunks of `call`, in order.
  static func all(_ binder: Binder, _ call: Instruction) throws(RuntimeFailure) -> [HeadChunk] {
    var bound: [HeadChunk] = []
    let x = call.inputs[0]
    for range in HeadChunks(call).ranges {
      bound.append(
        HeadChunk(
          rows: Int64(range.count),
          x: binder.address(x) + range.first * x.columns * x.type.byteCount,
          targets: binder.ints(call.inputs[2]) + range.first,
          logits: try binder.product(ProductShape.head(rows: range.count, call).logits, call.label)))
    }
    return bound
  }
}

extension Binder {
  /// The head without gradients: logits of a chunk of rows in float32 and their cross-entropy.
  func bindHead(_ call: Instruction, _ workspace: UnsafeMutableRawPointer?) throws(RuntimeFailure) -> Kernel {
    let chunks = HeadChunks(call)
    guard let workspace else { return { _ in } }
    let logits = workspace.assumingMemoryBound(to: Float.self)
    let scratch = workspace + chunks.workspaceByteCount
    let (w, losses) = (address(call.inputs[1]), floats(call.outputs[0]))
    let vocabulary = Int64(chunks.vocabulary)
    let bound = try HeadChunk.all(self, call)
    return { _ in
      var first = 0
      for chunk in bound {
        run(chunk.logits, chunk.x, w, logits, nil, scratch)
        apus_cross_entropy_forward_f32(losses + first, logits, chunk.targets, chunk.rows, vocabulary)
        first += Int(chunk.rows)
      }
    }
  }
}

extension ElementKernels {
  private typealias Products = (
    dx: OpaquePointer, dw: OpaquePointer, addingDx: OpaquePointer, addingDw: OpaquePointer
  )

  /// The head with gradients: dx and dW come from a chunk's logits while they are warm. The logits' gradient
  /// lies where they lie; where it has 16 bits, in the first half of each row.
  static func bindHeadGradient(
    _ op: HeadLossGradient, _ binder: Binder, _ call: Instruction, _ workspace: UnsafeMutableRawPointer?
  ) throws(RuntimeFailure) -> Binder.Kernel {
    let chunks = HeadChunks(call)
    guard let workspace else { return { _ in } }
    let logits = workspace.assumingMemoryBound(to: Float.self)
    let losses = (workspace + chunks.logitsByteCount).assumingMemoryBound(to: Float.self)
    let scratch = workspace + chunks.workspaceByteCount
    let bound = try HeadChunk.all(binder, call)
    var made: [Products] = []
    for range in chunks.ranges {
      let head = ProductShape.head(rows: range.count, call)
      made.append(
        (
          dx: try binder.product(head.dx, call.label), dw: try binder.product(head.dw, call.label),
          addingDx: try binder.product(head.dx.accumulating(true), call.label),
          addingDw: try binder.product(head.dw.accumulating(true), call.label)
        ))
    }
    let products = made
    let (loss, dx, dw) = (
      binder.floats(call.outputs[0]), binder.address(call.outputs[1].tensor),
      binder.address(call.outputs[2].tensor)
    )
    let (x, w) = (binder.address(call.inputs[0]), binder.address(call.inputs[1]))
    let control = binder.floats(call.inputs[3])
    let vocabulary = Int64(chunks.vocabulary)
    let stride = Int64(ProductShape.logitsStride(call))
    let gradient = workspace.assumingMemoryBound(to: Element.self)
    return { microbatch in
      var sum = 0.0
      let weight = control[Control.tokenWeight.rawValue]
      let scale = op.isScaled ? weight * control[Control.lossScale.rawValue] : weight
      let addsX = call.outputs[1].accumulates(microbatch: microbatch)
      let addsW = call.outputs[2].accumulates(microbatch: microbatch)
      for (index, chunk) in bound.enumerated() {
        run(chunk.logits, chunk.x, w, logits, nil, scratch)
        crossEntropyGradient(losses, gradient, stride, logits, chunk.targets, chunk.rows, vocabulary, scale)
        for row in 0..<Int(chunk.rows) { sum += Double(losses[row]) }
        let product = products[index]
        run(addsX ? product.addingDx : product.dx, gradient, w, dx + (chunk.x - x), nil, scratch)
        run(addsW || index > 0 ? product.addingDw : product.dw, gradient, chunk.x, dw, nil, scratch)
      }
      let weighted = Float(sum * Double(weight))
      loss.pointee = call.outputs[0].accumulates(microbatch: microbatch) ? loss.pointee + weighted : weighted
    }
  }
}
