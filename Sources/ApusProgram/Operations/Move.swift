import ApusCore

/// Makes a tensor of one placement over an axis one of another: every collective of the system.
///
/// | move | collective | gradient |
/// | --- | --- | --- |
/// | invariant -> replicated | none | all-reduce |
/// | partial sum -> invariant | all-reduce | none |
/// | partial sum -> replicated | all-reduce | all-reduce |
/// | invariant -> sharded | none: a slice | all-gather |
/// | sharded -> invariant | all-gather | none: a slice |
/// | sharded -> replicated | all-gather | reduce-scatter |
/// | partial sum -> sharded | reduce-scatter | all-gather |
/// | sharded by rows <-> by columns | all-to-all | all-to-all |
///
/// The gradient of A -> B is dual(B) -> dual(A). Without a collective the result is a view, and no instruction
/// is left once gradients have been derived. Only rows can be sharded here: their parts lie together.
/// (Korthikanti et al. 2022, section 4.2.2, calls the pairs f and f-bar, g and g-bar.)
package struct Move: ForwardOperation {
  package static let name = "move"
  package var op: Op { .move(self) }
  package var inPlace: [InPlacePermission] {
    collective == .allReduce ? [InPlacePermission(output: 0, input: 0)] : []
  }

  package var from: Placement
  package var to: Placement
  package var axis: MeshAxis
  /// Ranks along the axis.
  package var degree: Int
  /// Limits a sum to the part of a unit's stretch that lies in the rank's shard: the operand is the shard.
  package var stretch: UnitStretch?

  package init(from: Placement, to: Placement, axis: MeshAxis, degree: Int, stretch: UnitStretch? = nil) {
    self.from = from
    self.to = to
    self.axis = axis
    self.degree = degree
    self.stretch = stretch
  }

  /// The collective that the pair of placements asks for; nil where each rank has what it needs.
  package var collective: CollectiveKind? {
    switch (from, to) {
    case (.invariant, .invariant), (.replicated, .replicated), (.partialSum, .partialSum),
      (.invariant, .replicated), (.invariant, .sharded(.rows)):
      return nil
    case (.partialSum, .invariant), (.partialSum, .replicated): return .allReduce
    case (.sharded(.rows), .invariant), (.sharded(.rows), .replicated): return .allGather
    case (.partialSum, .sharded(.rows)): return .reduceScatter
    case (.sharded(let a), .sharded(let b)): return a == b ? nil : .allToAll
    default:
      require(false, "move: no way from \(from.text) to \(to.text)")
      return nil
    }
  }

  /// Elements of the collective's call on a rank, as its transport counts them.
  package func count(_ input: Tensor, _ output: Tensor, at position: MeshPosition) -> Int {
    if let stretch { return stretch.range(at: position).count }
    switch collective {
    case .reduceScatter: return output.count
    case .allToAll: return input.count / degree
    default: return input.count
    }
  }

  package func results(_ inputs: [Tensor]) -> [Signature] {
    let x = inputs[0]
    // Tensors carry their placement over the tensor axis, which a move along another one leaves as it is.
    let to = axis == .tensor ? to : x.placement
    if axis == .tensor { require(x.placement == from, "move from \(from.text): x is \(x.placement.text)") }
    switch collective {
    case nil where self.to == .sharded(.rows) && from == .invariant, .reduceScatter:
      require(
        x.rows.isMultiple(of: degree),
        "move: \(x.rows) rows cannot be divided over \(degree) \(axis.rawValue) ranks")
      return [Signature(x.rows / degree, x.columns, x.type, to)]
    case .allGather: return [Signature(x.rows * degree, x.columns, x.type, to)]
    case .allToAll:
      require(
        axis != .tensor, "move: tensors do not change their placement by all-to-all along the tensor axis")
      require(
        x.rows.isMultiple(of: degree), "move: \(x.rows) rows are not a block for each of \(degree) ranks")
      return [Signature(x.rows, x.columns, x.type, to)]
    default: return [Signature(x.rows, x.columns, x.type, to)]
    }
  }

  /// The result as a view of `x`, for a move without a collective.
  func view(of x: Tensor) -> Tensor {
    var view = x
    view.placement = to
    if from == .invariant, to == .sharded(.rows) {
      view.rows = x.rows / degree
      view.shift = ShardSlice(axis: axis, count: view.count)
    }
    return view
  }

  package func differentiate(_ pass: inout GradientPass, _ call: Instruction) {
    let (x, gradient) = (call.inputs[0], pass.gradient(call, 0))
    let back = Move(from: to.dual, to: from.dual, axis: axis, degree: degree)
    if back.collective == nil {
      if back.from == .invariant, back.to == .sharded(.rows) {
        return pass.emit(Copy(), [back.view(of: gradient)], to: [pass.destination(x)])
      }
      return pass.pass(gradient, to: x)
    }
    let destination = pass.destination(x)
    if destination.mode == .overwrite {
      return pass.emit(back, [gradient], to: [destination])
    }
    // Collectives do not accumulate.
    let term = pass.temporary("moved gradient", x.gradientSignature)
    pass.emit(back, [gradient], to: [Destination(term)])
    pass.emit(Copy(), [term], to: [destination])
  }
}

/// The start of a move: it goes on while later instructions run. Operands as the move's.
package struct StartMove: Operation {
  package static let name = "start of move"
  package var op: Op { .startMove(self) }
  package var move: Move
  /// Which `WaitMove` belongs to it.
  package var transfer: Int
}

/// The end of a move. Inputs: all operands of its start, which stay untouched until here.
package struct WaitMove: Operation {
  package static let name = "wait for move"
  package var op: Op { .waitMove(self) }
  package var move: Move
  package var transfer: Int

  package func cost(_ inputs: [Tensor], _ outputs: [Destination]) -> Cost { .zero }
}

extension Op {
  /// The move that an instruction makes or starts.
  package var move: Move? {
    switch self {
    case .move(let move): move
    case .startMove(let start): start.move
    default: nil
    }
  }
}

extension StepRecorder {
  /// `x` with another placement over the tensor axis.
  public mutating func move(_ x: Tensor, to placement: Placement) -> Tensor {
    let degree = mesh.degree(of: .tensor)
    if degree == 1 || x.placement == placement { return x }
    let move = Move(from: x.placement, to: placement, axis: .tensor, degree: degree)
    if move.collective != nil { return record(move, [x])[0] }
    _ = move.results([x])
    let view = move.view(of: x)
    emit(move, [x], to: [Destination(view)])
    return view
  }
}

extension [Instruction] {
  /// Without the views: what is left to run once gradients have been derived.
  package var withoutViews: [Instruction] {
    filter { instruction in
      switch instruction.op {
      case .move(let move): move.collective != nil
      case .materialise: false
      default: true
      }
    }
  }
}
