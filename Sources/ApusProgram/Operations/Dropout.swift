import ApusCore

/// Fields of the dropout key, an int32 input `[1, 4]`: with the operation's site they say which elements are
/// dropped. The host fills it before a step.
package enum DropoutKey: Int, CaseIterable, Sendable {
  /// The seed's lower and upper 32 bits.
  case seedLow, seedHigh
  /// The step, counted from 1.
  case step
  /// Row, in the step's whole batch, of the first row of micro-batch 0 on the first rank.
  case firstRow
}

/// Dropout (Srivastava et al. 2014, inverted form): `out = x / (1 - p)` where an element is kept, else 0.
///
/// Whether it is kept is a function of seed, step, site and the element's row and column in the step's whole
/// batch (Philox 4x32-10). So no mask is stored: backward and recomputation draw the same numbers again, and
/// dividing the batch in another way changes nothing.
///
/// Inputs: x `[T, D]`, key `[1, 4]` int32. Output: `[T, D]`, may lie on x.
package struct Dropout: ForwardOperation {
  package static let name = "dropout"
  package var op: Op { .dropout(self) }
  package var inPlace: [InPlacePermission] { [InPlacePermission(output: 0, input: 0)] }

  /// The share that is dropped: at least 0, below 1.
  package var probability: Double
  /// Tells the places of a model apart that drop.
  package var site: Int
  /// The rank's rows of the micro-batch; nil where it has all.
  package var rows: ShardSlice?
  /// The rank's tokens of each sequence; nil where it has all.
  package var slice: SequenceSlice?

  package func results(_ inputs: [Tensor]) -> [Signature] {
    let x = inputs[0]
    require(
      x.placement == .invariant || x.placement == .sharded(.rows) && rows?.count == x.rows,
      "dropout: x is \(x.placement.text)")
    return [Signature(like: x)]
  }

  /// Row, in the step's whole batch, of the first row of `x` on a rank, beside what the key says: replicas
  /// take their turns micro-batch by micro-batch.
  package func firstRow(_ x: Tensor, microbatch: Int, at position: MeshPosition) -> Int {
    let whole = x.rows * (rows.map { position.mesh.degree(of: $0.axis) } ?? 1)
    let turn =
      microbatch * position.mesh.degree(of: .data) + position.coordinate(on: .data)
    if let slice { return turn * whole * slice.degree }
    return turn * whole + (rows?.range(at: position).lowerBound ?? 0)
  }

  /// The rows of `x` that follow each other in the whole batch, each with its first row there, counted from
  /// `firstRow`.
  package func stretches(
    _ x: Tensor, at position: MeshPosition
  ) -> [(row: Int, wholeRow: Int, count: Int)] {
    guard let slice else { return [(0, 0, x.rows)] }
    return slice.stretches(
      rows?.range(at: position) ?? 0..<x.rows, ofRank: position.coordinate(on: .context)
    ).map { ($0.row, $0.sequence * slice.sequenceLength + $0.place, $0.count) }
  }

  package func differentiate(_ pass: inout GradientPass, _ call: Instruction) {
    let (x, key) = (call.inputs[0], call.inputs[1])
    pass.emit(DropoutGradient(forward: self), [pass.gradient(call, 0), key], to: [pass.destination(x)])
  }
}

/// `dx (+)= dy / (1 - p)` where the element was kept.
package struct DropoutGradient: Operation {
  package static let name = "dropout gradient"
  package var op: Op { .dropoutGradient(self) }
  package var inPlace: [InPlacePermission] { [InPlacePermission(output: 0, input: 0)] }
  package var forward: Dropout
}

/// Dropout and the residual addition behind it in one pass: `out = residual + dropout(x)`.
///
/// Inputs: residual, x `[T, D]`, key. Output: `[T, D]`, may lie on residual or x. Fusion emits it.
package struct DropoutAdd: FusedOperation {
  package static let name = "dropout and add"
  package var op: Op { .dropoutAdd(self) }
  package var inPlace: [InPlacePermission] { Add().inPlace }
  package var dropout: Dropout

  package func costOfSequence(_ inputs: [Tensor], _ outputs: [Destination]) -> Cost {
    dropout.cost(Array(inputs.dropFirst()), outputs) + Add().cost(Array(inputs.prefix(2)), outputs)
  }
}

/// What a recorder drops, and where the key lies.
package struct DropoutRecording: Hashable, Sendable {
  package var probability: Double
  package var key: Tensor
  /// The next place's number.
  package var site = 0
  /// The rank's tokens of each sequence; nil where it has all.
  package var slice: SequenceSlice?

  package init(probability: Double, key: Tensor, slice: SequenceSlice? = nil) {
    self.probability = probability
    self.key = key
    self.slice = slice
  }
}

extension StepRecorder {
  /// Drops elements of `x` (`[T, D]`) while training with dropout; gives `x` itself otherwise.
  public mutating func dropout(_ x: Tensor) -> Tensor {
    guard let recording = dropout else { return x }
    dropout?.site += 1
    let rows = x.placement == .sharded(.rows) ? ShardSlice(axis: .tensor, count: x.rows) : nil
    return record(
      Dropout(
        probability: recording.probability, site: recording.site, rows: rows, slice: recording.slice),
      [x, recording.key])[0]
  }
}
