import ApusCore

/// Rows of a table `[V, D]` that a rank holds: `coordinate * rows ..<` as many, the last ranks' cut off at V; rows
/// beyond are padding.
package struct VocabularySlice: Hashable, Sendable {
  package var axis: MeshAxis
  /// Rows on each rank, padding included.
  package var rows: Int
  /// V.
  package var total: Int

  /// The slice of a table whose rows are divided; nil of one that is whole.
  init?(of table: Tensor, _ vocabularySize: Int) {
    guard table.placement == .sharded(.rows) else { return nil }
    (axis, rows, total) = (.tensor, table.rows, vocabularySize)
  }

  /// The ids whose rows a rank holds.
  package func range(at position: MeshPosition) -> Range<Int> {
    let first = position.coordinate(on: axis) * rows
    return min(first, total)..<min(first + rows, total)
  }
}

/// What a rank knows of the softmax over a vocabulary of which it has a part, for each row of logits: the largest
/// logit, the sum of exponentials above it, and the target's logit (0 where the target is another rank's).
///
/// Inputs: logits `[T, V/t]`, targets `[1, T]` int32. Output: `[T, 3]`.
package struct CrossEntropyStatistics: Operation {
  package static let name = "cross-entropy statistics"
  package var op: Op { .crossEntropyStatistics(self) }
  package var vocabulary: VocabularySlice
}

/// Losses from the statistics of all ranks. Inputs: statistics `[t T, 3]`, targets `[1, T]`. Output: `[1, T]`.
package struct CrossEntropyLosses: Operation {
  package static let name = "cross-entropy losses"
  package var op: Op { .crossEntropyLosses(self) }
  /// t.
  package var ranks: Int
}

/// Logits become their gradient, in place, from the statistics of all ranks: softmax minus the one-hot target,
/// times the control tensor's token weight; zero in padding and where the target is negative. Where the loss is
/// scaled, the gradient carries the control tensor's factor, the loss does not.
///
/// Inputs: statistics `[t T, 3]`, targets `[1, T]`, control. Outputs: logits `[T, V/t]` float32, losses `[1, T]`,
/// the sum of losses times the token weight `[1, 1]`, and where x is shorter than float32 the gradient once more,
/// rounded to the type of x.
package struct CrossEntropyGradient: Operation {
  package static let name = "cross-entropy gradient"
  package var op: Op { .crossEntropyGradient(self) }
  package var vocabulary: VocabularySlice
  package var ranks: Int
  package var isScaled = false
}

/// The head fused with cross-entropy where the table's rows are divided over the tensor axis: in chunks of rows,
/// each rank's logits, one all-gather of three numbers a row and rank, then losses and gradients. dx is a partial
/// sum. (Shoeybi et al. 2019, section 3, without the all-reduce of the maximum.)
struct ShardedHead {
  /// Logits of a chunk, at most, on a rank.
  static let logitsByteLimit = 128 << 20

  private let vocabulary: VocabularySlice

  init(_ vocabulary: VocabularySlice) { self.vocabulary = vocabulary }

  /// First row and row count of each chunk.
  private func chunks(_ rows: Int) -> [(first: Int, count: Int)] {
    let most = max(1, Self.logitsByteLimit / (4 * vocabulary.rows))
    let size = (rows + (rows + most - 1) / most - 1) / ((rows + most - 1) / most)
    return stride(from: 0, to: rows, by: size).map { ($0, min(size, rows - $0)) }
  }

  func differentiate(_ pass: inout GradientPass, _ call: Instruction) {
    let (x, w, targets, control) = (call.inputs[0], call.inputs[1], call.inputs[2], call.inputs[3])
    let degree = pass.mesh.degree(of: vocabulary.axis)
    let dx = pass.destination(x)
    var (loss, dw) = (pass.lossDestination(), pass.destination(w))
    for chunk in chunks(x.rows) {
      let rows = x.rows(from: chunk.first, chunk.count)
      let ids = targets.columns(from: chunk.first, chunk.count)
      let logits = pass.temporary("logits", Signature(chunk.count, w.rows))
      let own = pass.temporary("statistics", Signature(chunk.count, 3))
      let all = pass.temporary("all statistics", Signature(degree * chunk.count, 3))
      let losses = pass.temporary("losses", Signature(1, chunk.count))
      pass.emit(Product(transposeA: false, transposeB: true), [rows, w], to: [Destination(logits)])
      pass.emit(CrossEntropyStatistics(vocabulary: vocabulary), [logits, ids], to: [Destination(own)])
      pass.emit(gather(degree), [own], to: [Destination(all)])
      let rounded =
        x.type == .float32 ? nil : pass.temporary("logits gradient", Signature(chunk.count, w.rows, x.type))
      pass.emit(
        CrossEntropyGradient(vocabulary: vocabulary, ranks: degree, isScaled: pass.scalesLoss),
        [all, ids, control],
        to: [Destination(logits, .accumulate), Destination(losses), loss]
          + (rounded.map { [Destination($0)] } ?? []))
      let gradient = rounded ?? logits
      let part = Destination(dx.tensor.rows(from: chunk.first, chunk.count), dx.mode)
      pass.emit(Product(transposeA: false, transposeB: false), [gradient, w], to: [part])
      pass.emit(Product(transposeA: true, transposeB: false), [gradient, rows], to: [dw])
      loss.mode = .accumulate
      dw.mode = .accumulate
    }
  }

  /// Losses without gradients.
  func evaluate(_ call: Instruction, into losses: Tensor, in step: inout StepRecorder) {
    let (x, w, targets) = (call.inputs[0], call.inputs[1], call.inputs[2])
    let degree = step.mesh.degree(of: vocabulary.axis)
    for chunk in chunks(x.rows) {
      let rows = x.rows(from: chunk.first, chunk.count)
      let ids = targets.columns(from: chunk.first, chunk.count)
      func temporary(_ name: String, _ rows: Int, _ columns: Int) -> Tensor {
        step.tensor("\(step.label) \(name)", .activation, Signature(rows, columns))
      }
      let logits = temporary("logits", chunk.count, w.rows)
      let own = temporary("statistics", chunk.count, 3)
      let all = temporary("all statistics", degree * chunk.count, 3)
      step.emit(Product(transposeA: false, transposeB: true), [rows, w], to: [Destination(logits)])
      step.emit(CrossEntropyStatistics(vocabulary: vocabulary), [logits, ids], to: [Destination(own)])
      step.emit(gather(degree), [own], to: [Destination(all)])
      step.emit(
        CrossEntropyLosses(ranks: degree), [all, ids],
        to: [Destination(losses.columns(from: chunk.first, chunk.count))])
    }
  }

  private func gather(_ degree: Int) -> Move {
    Move(from: .sharded(.rows), to: .invariant, axis: vocabulary.axis, degree: degree)
  }
}

extension HeadLoss {
  /// Emits what gives the losses of `call` without gradients.
  package func evaluate(_ call: Instruction, into losses: Tensor, in step: inout StepRecorder) {
    if let vocabulary { return ShardedHead(vocabulary).evaluate(call, into: losses, in: &step) }
    step.emit(self, call.inputs, to: [Destination(losses)])
  }
}
