import ApusProgram

extension ElementKernels {
  static func bindAddLayerNorm(_ op: AddLayerNorm, _ binder: Binder, _ call: Instruction) -> Binder.Kernel {
    let (sum, y) = (at(binder, call.outputs[0].tensor), at(binder, call.outputs[1].tensor))
    let (mean, rstd) = (binder.floats(call.outputs[2]), binder.floats(call.outputs[3]))
    let (a, c) = (at(binder, call.inputs[0]), at(binder, call.inputs[1]))
    let (w, b) = (at(binder, call.inputs[2]), at(binder, call.inputs[3]))
    let (rows, columns) = binder.shape(call.inputs[0])
    let epsilon = Float(op.norm.epsilon)
    return { _ in addLayerNorm(sum, y, mean, rstd, a, c, w, b, rows, columns, epsilon) }
  }

  static func bindAddRMSNorm(_ op: AddRMSNorm, _ binder: Binder, _ call: Instruction) -> Binder.Kernel {
    let (sum, y) = (at(binder, call.outputs[0].tensor), at(binder, call.outputs[1].tensor))
    let rstd = binder.floats(call.outputs[2])
    let (a, c, w) = (at(binder, call.inputs[0]), at(binder, call.inputs[1]), at(binder, call.inputs[2]))
    let (rows, columns) = binder.shape(call.inputs[0])
    let epsilon = Float(op.norm.epsilon)
    return { _ in addRMSNorm(sum, y, rstd, a, c, w, rows, columns, epsilon) }
  }

  static func bindBiasGELU(_ binder: Binder, _ call: Instruction) -> Binder.Kernel {
    let y = at(binder, call.outputs[0].tensor)
    let (x, bias) = (at(binder, call.inputs[0]), at(binder, call.inputs[1]))
    let (rows, columns) = binder.shape(call.inputs[0])
    return { _ in biasGELU(y, x, bias, rows, columns) }
  }
}

extension GradientKernels {
  static func bindBiasGELUGradient(_ binder: Binder, _ call: Instruction) -> Binder.Kernel {
    let dx = binder.pointer(call.outputs[0].tensor, elementType, as: Element.self)
    let dbias = into(binder, call.outputs[1])
    let (dy, x, bias) = (
      from(binder, call.inputs[0]), from(binder, call.inputs[1]), from(binder, call.inputs[2])
    )
    let (rows, columns) = binder.shape(call.inputs[0])
    return { biasGELUGradient(dx, dbias, dy, x, bias, rows, columns, call.outputs[1].flag($0)) }
  }
}
