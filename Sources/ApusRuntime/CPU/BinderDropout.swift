import ApusProgram
import CApusKernels

extension Binder {
  /// What is dropped in a micro-batch: the key as the host filled it, and the place of these rows.
  func draw(_ dropout: Dropout, _ key: Tensor, _ x: Tensor) -> (_ microbatch: Int) -> apus_dropout {
    let words = ints(key)
    let columns = Int64(x.columns)
    let position = ranks.position
    return { microbatch in
      func word(_ field: DropoutKey) -> UInt32 { UInt32(bitPattern: words[field.rawValue]) }
      return apus_dropout(
        seed: UInt64(word(.seedHigh)) << 32 | UInt64(word(.seedLow)), step: word(.step),
        site: UInt32(dropout.site),
        first_row: Int64(word(.firstRow)) + Int64(dropout.firstRow(x, microbatch: microbatch, at: position)),
        first_column: 0, width: columns, probability: Float(dropout.probability))
    }
  }
}

extension ElementKernels {
  static func bindDropout(_ op: Dropout, _ binder: Binder, _ call: Instruction) -> Binder.Kernel {
    let (out, x) = (at(binder, call.outputs[0].tensor), at(binder, call.inputs[0]))
    let draw = binder.draw(op, call.inputs[1], call.inputs[0])
    let (rows, columns) = binder.shape(call.inputs[0])
    return { withUnsafePointer(to: draw($0)) { dropout(out, x, rows, columns, $0) } }
  }

  static func bindDropoutGradient(
    _ op: DropoutGradient, _ binder: Binder, _ call: Instruction
  ) -> Binder.Kernel {
    let (dx, dy) = (at(binder, call.outputs[0].tensor), at(binder, call.inputs[0]))
    let draw = binder.draw(op.forward, call.inputs[1], call.inputs[0])
    let (rows, columns) = binder.shape(call.inputs[0])
    return { microbatch in
      let adds = call.outputs[0].flag(microbatch)
      withUnsafePointer(to: draw(microbatch)) { dropoutGradient(dx, dy, rows, columns, $0, adds) }
    }
  }

  static func bindDropoutAdd(_ op: DropoutAdd, _ binder: Binder, _ call: Instruction) -> Binder.Kernel {
    let (out, residual, x) = (
      at(binder, call.outputs[0].tensor), at(binder, call.inputs[0]), at(binder, call.inputs[1])
    )
    let draw = binder.draw(op.dropout, call.inputs[2], call.inputs[1])
    let (rows, columns) = binder.shape(call.inputs[0])
    return { withUnsafePointer(to: draw($0)) { dropoutAdd(out, residual, x, rows, columns, $0) } }
  }
}
