import ApusProgram

/// Calls of the kernels that sum gradients of parameters.
extension GradientKernels {
  /// The address of an activation, or a gradient of one.
  static func from(_ binder: Binder, _ tensor: Tensor) -> Input {
    Input(binder.pointer(tensor, elementType, as: Element.self))
  }

  /// The address of a sum.
  static func into(_ binder: Binder, _ destination: Destination) -> Output {
    binder.pointer(destination.tensor, sumType, as: Sum.self)
  }

  static func bindEmbeddingGradient(_ binder: Binder, _ call: Instruction) -> Binder.Kernel {
    let (table, gradient) = (into(binder, call.outputs[0]), from(binder, call.inputs[1]))
    let ids = binder.ints(call.inputs[0])
    let (rows, columns) = binder.shape(call.inputs[1])
    let size = Int64(call.outputs[0].tensor.rows)
    return { embeddingGradient(table, gradient, ids, rows, columns, size, call.outputs[0].flag($0)) }
  }

  static func bindPositionsGradient(
    _ op: PositionsGradient, _ binder: Binder, _ call: Instruction
  ) -> Binder.Kernel {
    let (table, gradient) = (into(binder, call.outputs[0]), from(binder, call.inputs[0]))
    let (rows, columns) = binder.shape(call.inputs[0])
    let (length, size) = (Int64(op.sequenceLength), Int64(call.outputs[0].tensor.rows))
    return { positionsGradient(table, gradient, rows, columns, length, size, call.outputs[0].flag($0)) }
  }

  static func bindLayerNormWeightGradient(_ binder: Binder, _ call: Instruction) -> Binder.Kernel {
    let (dw, db) = (into(binder, call.outputs[0]), into(binder, call.outputs[1]))
    let (dy, x) = (from(binder, call.inputs[0]), from(binder, call.inputs[1]))
    let (mean, rstd) = (binder.floats(call.inputs[2]), binder.floats(call.inputs[3]))
    let (rows, columns) = binder.shape(call.inputs[0])
    return {
      layerNormWeightGradient(
        dw, db, dy, x, mean, rstd, rows, columns, call.outputs[0].flag($0), call.outputs[1].flag($0))
    }
  }

  static func bindRMSNormWeightGradient(_ binder: Binder, _ call: Instruction) -> Binder.Kernel {
    let dw = into(binder, call.outputs[0])
    let (dy, x) = (from(binder, call.inputs[0]), from(binder, call.inputs[1]))
    let rstd = binder.floats(call.inputs[2])
    let (rows, columns) = binder.shape(call.inputs[0])
    return { rmsNormWeightGradient(dw, dy, x, rstd, rows, columns, call.outputs[0].flag($0)) }
  }

  static func bindColumnSum(_ binder: Binder, _ call: Instruction) -> Binder.Kernel {
    let (out, x) = (into(binder, call.outputs[0]), from(binder, call.inputs[0]))
    let (rows, columns) = binder.shape(call.inputs[0])
    return { columnSum(out, x, rows, columns, columns, call.outputs[0].flag($0)) }
  }
}
