import ApusProgram

/// Calls of the kernels of one element type.
extension ElementKernels {
  /// The address of a tensor of this type.
  static func at(_ binder: Binder, _ tensor: Tensor) -> Output {
    binder.pointer(tensor, type, as: Element.self)
  }

  static func bindEmbedding(_ binder: Binder, _ call: Instruction) -> Binder.Kernel {
    let (out, table) = (at(binder, call.outputs[0].tensor), at(binder, call.inputs[1]))
    let ids = binder.ints(call.inputs[0])
    let (rows, columns) = (Int64(call.inputs[0].count), Int64(call.inputs[1].columns))
    return { _ in embedding(out, table, ids, rows, columns) }
  }

  static func bindPositions(_ op: Positions, _ binder: Binder, _ call: Instruction) -> Binder.Kernel {
    let (out, x, table) = (
      at(binder, call.outputs[0].tensor), at(binder, call.inputs[0]), at(binder, call.inputs[1])
    )
    let start = call.inputs.count > 2 ? binder.ints(call.inputs[2]) : nil
    let (rows, columns) = binder.shape(call.inputs[0])
    let length = Int64(op.sequenceLength)
    return { _ in
      positions(out, x, table, rows, columns, length, start.map { Int64($0.pointee) } ?? 0)
    }
  }

  static func bindLayerNorm(_ op: LayerNorm, _ binder: Binder, _ call: Instruction) -> Binder.Kernel {
    let y = at(binder, call.outputs[0].tensor)
    let (mean, rstd) = (binder.floats(call.outputs[1]), binder.floats(call.outputs[2]))
    let (x, w, b) = (at(binder, call.inputs[0]), at(binder, call.inputs[1]), at(binder, call.inputs[2]))
    let (rows, columns) = binder.shape(call.inputs[0])
    let epsilon = Float(op.epsilon)
    return { _ in layerNorm(y, mean, rstd, x, w, b, rows, columns, epsilon) }
  }

  static func bindLayerNormGradient(_ binder: Binder, _ call: Instruction) -> Binder.Kernel {
    let dx = at(binder, call.outputs[0].tensor)
    let (dy, x, w) = (at(binder, call.inputs[0]), at(binder, call.inputs[1]), at(binder, call.inputs[2]))
    let (mean, rstd) = (binder.floats(call.inputs[3]), binder.floats(call.inputs[4]))
    let (rows, columns) = binder.shape(call.inputs[0])
    return { layerNormGradient(dx, dy, x, w, mean, rstd, rows, columns, call.outputs[0].flag($0)) }
  }

  static func bindRMSNorm(_ op: RMSNorm, _ binder: Binder, _ call: Instruction) -> Binder.Kernel {
    let (y, x, w) = (
      at(binder, call.outputs[0].tensor), at(binder, call.inputs[0]), at(binder, call.inputs[1])
    )
    let rstd = binder.floats(call.outputs[1])
    let (rows, columns) = binder.shape(call.inputs[0])
    let epsilon = Float(op.epsilon)
    return { _ in rmsNorm(y, rstd, x, w, rows, columns, epsilon) }
  }

  static func bindRMSNormGradient(_ binder: Binder, _ call: Instruction) -> Binder.Kernel {
    let dx = at(binder, call.outputs[0].tensor)
    let (dy, x, w) = (at(binder, call.inputs[0]), at(binder, call.inputs[1]), at(binder, call.inputs[2]))
    let rstd = binder.floats(call.inputs[3])
    let (rows, columns) = binder.shape(call.inputs[0])
    return { rmsNormGradient(dx, dy, x, w, rstd, rows, columns, call.outputs[0].flag($0)) }
  }

  static func bindGELU(_ binder: Binder, _ call: Instruction) -> Binder.Kernel {
    let (y, x) = (at(binder, call.outputs[0].tensor), at(binder, call.inputs[0]))
    let count = Int64(call.inputs[0].count)
    return { _ in gelu(y, x, count) }
  }

  static func bindGELUGradient(_ binder: Binder, _ call: Instruction) -> Binder.Kernel {
    let dx = at(binder, call.outputs[0].tensor)
    let (dy, x) = (at(binder, call.inputs[0]), at(binder, call.inputs[1]))
    let count = Int64(call.inputs[0].count)
    return { geluGradient(dx, dy, x, count, call.outputs[0].flag($0)) }
  }

  static func bindSwiGLU(_ binder: Binder, _ call: Instruction) -> Binder.Kernel {
    let (y, x) = (at(binder, call.outputs[0].tensor), at(binder, call.inputs[0]))
    let (rows, columns) = binder.shape(call.outputs[0].tensor)
    return { _ in swiglu(y, x, rows, columns) }
  }

  static func bindSwiGLUGradient(_ binder: Binder, _ call: Instruction) -> Binder.Kernel {
    let dx = at(binder, call.outputs[0].tensor)
    let (dy, x) = (at(binder, call.inputs[0]), at(binder, call.inputs[1]))
    let (rows, columns) = binder.shape(call.inputs[0])
    return { swigluGradient(dx, dy, x, rows, columns, call.outputs[0].flag($0)) }
  }

  static func bindRotary(_ op: Rotary, _ binder: Binder, _ call: Instruction) -> Binder.Kernel {
    let (out, x) = (at(binder, call.outputs[0].tensor), at(binder, call.inputs[0]))
    let (cosines, sines) = (binder.floats(call.inputs[1]), binder.floats(call.inputs[2]))
    let start = call.inputs.count > 3 ? binder.ints(call.inputs[3]) : nil
    let (rows, columns) = binder.shape(call.inputs[0])
    let (heads, size, length) = (Int64(op.headCount), Int64(op.headSize), Int64(op.sequenceLength))
    let direction: Int32 = op.direction == .forward ? 1 : -1
    return { _ in
      rotary(
        out, x, cosines, sines, rows, columns, heads, size, length,
        start.map { Int64($0.pointee) } ?? 0, direction)
    }
  }

  static func bindAdd(_ binder: Binder, _ call: Instruction) -> Binder.Kernel {
    let (out, a, b) = (
      at(binder, call.outputs[0].tensor), at(binder, call.inputs[0]), at(binder, call.inputs[1])
    )
    let count = Int64(call.inputs[0].count)
    return { _ in add(out, a, b, count) }
  }

  static func bindCopy(_ binder: Binder, _ call: Instruction) -> Binder.Kernel {
    let (out, a) = (at(binder, call.outputs[0].tensor), at(binder, call.inputs[0]))
    let count = Int64(call.inputs[0].count)
    return { copy(out, a, count, call.outputs[0].flag($0)) }
  }
}
