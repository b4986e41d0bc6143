import ApusProgram
import CApusKernels

extension ElementKernels {
  static func bindAttention(
    _ op: Attention, _ binder: Binder, _ call: Instruction, _ workspace: UnsafeMutableRawPointer?
  ) -> Binder.Kernel {
    let (o, lse) = (at(binder, call.outputs[0].tensor), binder.floats(call.outputs[1]))
    let q = at(binder, call.inputs[0])
    let (k, v) = (q + op.heads.queryWidth, q + op.heads.queryWidth + op.heads.keyWidth)
    let shape = CPUCatalogue.shape(
      op.heads, batch: call.inputs[0].rows / op.sequenceLength, sequenceLength: op.sequenceLength)
    return { _ in
      withUnsafePointer(to: shape) { attention($0, o, lse, q, k, v, workspace) }
    }
  }

  static func bindAttentionGradient(
    _ op: AttentionGradient, _ binder: Binder, _ call: Instruction, _ workspace: UnsafeMutableRawPointer?
  ) -> Binder.Kernel {
    let heads = op.forward.heads
    let (dq, dot) = (at(binder, call.outputs[0].tensor), binder.floats(call.outputs[1]))
    let (dk, dv) = (dq + heads.queryWidth, dq + heads.queryWidth + heads.keyWidth)
    let (dout, q, o) = (at(binder, call.inputs[0]), at(binder, call.inputs[1]), at(binder, call.inputs[2]))
    let lse = binder.floats(call.inputs[3])
    let (k, v) = (q + heads.queryWidth, q + heads.queryWidth + heads.keyWidth)
    let shape = CPUCatalogue.shape(
      heads, batch: call.inputs[1].rows / op.forward.sequenceLength,
      sequenceLength: op.forward.sequenceLength)
    return { _ in
      withUnsafePointer(to: shape) {
        attentionGradient($0, dq, dk, dv, dout, o, lse, dot, q, k, v, workspace)
      }
    }
  }

  static func bindCachedAttention(
    _ op: CachedAttention, _ binder: Binder, _ call: Instruction, _ workspace: UnsafeMutableRawPointer?
  ) -> Binder.Kernel {
    let (o, keys, values) = (
      at(binder, call.outputs[0].tensor), at(binder, call.outputs[1].tensor),
      at(binder, call.outputs[2].tensor)
    )
    let (q, start) = (at(binder, call.inputs[0]), binder.ints(call.inputs[1]))
    let (k, v) = (q + op.heads.queryWidth, q + op.heads.queryWidth + op.heads.keyWidth)
    let shape = CPUCatalogue.shape(op.heads, batch: 1, sequenceLength: call.inputs[0].rows)
    return { _ in
      withUnsafePointer(to: shape) {
        cachedAttention($0, o, q, k, v, keys, values, Int64(start.pointee), workspace)
      }
    }
  }
}
