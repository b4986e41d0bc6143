import ApusProgram
import CApusKernels

extension Binder {
  func bindAttention(
    _ attention: Attention, _ instruction: Instruction, _ workspace: UnsafeMutableRawPointer?
  ) -> Kernel {
    let heads = attention.heads
    let (o, lse) = (floats(instruction.outputs[0]), floats(instruction.outputs[1]))
    let q = floats(instruction.inputs[0])
    let (k, v) = (q + heads.queryWidth, q + heads.queryWidth + heads.keyWidth)
    let shape = CPUCatalogue.shape(
      heads, batch: instruction.inputs[0].rows / attention.sequenceLength,
      sequenceLength: attention.sequenceLength)
    return { _ in
      withUnsafePointer(to: shape) { apus_attention_forward_f32($0, o, lse, q, k, v, workspace) }
    }
  }

  func bindAttentionGradient(
    _ gradient: AttentionGradient, _ instruction: Instruction, _ workspace: UnsafeMutableRawPointer?
  ) -> Kernel {
    let heads = gradient.forward.heads
    let (dq, dot) = (floats(instruction.outputs[0]), floats(instruction.outputs[1]))
    let (dk, dv) = (dq + heads.queryWidth, dq + heads.queryWidth + heads.keyWidth)
    let (dout, q) = (floats(instruction.inputs[0]), floats(instruction.inputs[1]))
    let (o, lse) = (floats(instruction.inputs[2]), floats(instruction.inputs[3]))
    let (k, v) = (q + heads.queryWidth, q + heads.queryWidth + heads.keyWidth)
    let shape = CPUCatalogue.shape(
      heads, batch: instruction.inputs[1].rows / gradient.forward.sequenceLength,
      sequenceLength: gradient.forward.sequenceLength)
    return { _ in
      withUnsafePointer(to: shape) {
        apus_attention_backward_f32($0, dq, dk, dv, dout, o, lse, dot, q, k, v, workspace)
      }
    }
  }
}
