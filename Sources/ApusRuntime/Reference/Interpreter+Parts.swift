import ApusCore
import ApusProgram
import ApusReference

/// What several operations of the interpreter share, and those that take more than a line.
extension Interpreter {
  /// out (+)= x / (1 - p) where the element is kept.
  func drop(
    _ op: Dropout, _ out: UnsafeMutablePointer<Scalar>, _ x: UnsafeMutablePointer<Scalar>, _ key: Tensor,
    _ tensor: Tensor, _ microbatch: Int, adds: Bool
  ) {
    func word(_ field: DropoutKey) -> UInt32 { UInt32(bitPattern: ints(key)[field.rawValue]) }
    let firstRow = Int(word(.firstRow)) + op.firstRow(tensor, microbatch: microbatch, at: ranks.position)
    for stretch in op.stretches(tensor, at: ranks.position) {
      let draw = DropoutDraw(
        seed: UInt64(word(.seedHigh)) << 32 | UInt64(word(.seedLow)), step: word(.step),
        site: UInt32(op.site), firstRow: firstRow + stretch.wholeRow, firstColumn: 0, width: tensor.columns,
        probability: Float(op.probability))
      let at = stretch.row * tensor.columns
      R.dropout(out + at, x + at, stretch.count, tensor.columns, draw, adds)
    }
  }

  /// Calls with first row, rows and expert of each block of dispatched tokens, and whether it is the expert's first.
  func forEachBlock(_ blocks: ExpertBlocks, _ rows: Int, _ body: (Int, Int, Int, Bool) -> Void) {
    let count = blocks.blockRows(rows)
    for block in 0..<blocks.sources * blocks.experts {
      body(block * count, count, block % blocks.experts, block < blocks.experts)
    }
  }

  // MARK: Sequences divided over the context axis

  var contextRank: Int { ranks.position.coordinate(on: .context) }

  /// The rank's rows of what a context rank holds of a micro-batch.
  func rows(_ slice: ShardSlice?, _ tensor: Tensor) -> Range<Int> {
    slice?.range(at: ranks.position) ?? 0..<tensor.rows
  }

  func contextShape(_ op: ContextAttention, rows: Int) -> R.ContextAttentionShape {
    R.ContextAttentionShape(
      rows: rows, localLength: op.slice.localLength, degree: op.slice.degree, queryHeads: op.heads.headCount,
      keyHeads: op.heads.keyValueHeadCount, headSize: op.heads.headSize)
  }

  /// The place of each local query in its sequence, and of each rank's keys.
  func contextPlaces(_ op: ContextAttention, rows: Int) -> (own: [Int], all: [[Int]]) {
    (op.slice.places(ofRank: contextRank), (0..<op.slice.degree).map { op.slice.places(ofRank: $0) })
  }

  /// out = a + b, rounded to the type of the tensors.
  func addRounded(
    _ out: UnsafeMutablePointer<Scalar>, _ a: UnsafeMutablePointer<Scalar>,
    _ b: UnsafeMutablePointer<Scalar>, _ tensor: Tensor
  ) {
    R.add(out, a, b, tensor.count)
    tensor.type.round(out, tensor.count)
  }

  /// Calls `body` with x + bias, rounded to the type of x.
  func withBias(
    _ x: UnsafeMutablePointer<Scalar>, _ bias: UnsafeMutablePointer<Scalar>, _ tensor: Tensor,
    _ body: (UnsafeMutablePointer<Scalar>) -> Void
  ) {
    let sum = UnsafeMutablePointer<Scalar>.allocate(capacity: tensor.count)
    defer { sum.deallocate() }
    for index in 0..<tensor.count { sum[index] = x[index] + bias[index % tensor.columns] }
    tensor.type.round(sum, tensor.count)
    body(sum)
  }

  /// Whole logits at once: small shapes only.
  func head(_ call: Instruction, losses: UnsafeMutablePointer<Scalar>, _ microbatch: Int) {
    let (x, w, targets) = (call.inputs[0], call.inputs[1], ints(call.inputs[2]))
    let logits = UnsafeMutablePointer<Scalar>.allocate(capacity: x.rows * w.rows)
    defer { logits.deallocate() }
    R.product(
      x.rows, w.rows, x.columns, scalars(x), x.columns, false, scalars(w), w.columns, true, logits, w.rows,
      false)
    guard call.outputs.count > 1 else {
      return R.crossEntropyForward(losses, logits, targets, x.rows, w.rows)
    }
    let control = scalars(call.inputs[3])
    var weight = control[Control.tokenWeight.rawValue]
    if case .headLossGradient(let op) = call.op, op.isScaled { weight *= control[Control.lossScale.rawValue] }
    R.crossEntropyBackward(losses, logits, targets, x.rows, w.rows, weight)
    x.type.round(logits, x.rows * w.rows)
    R.product(
      x.rows, x.columns, w.rows, logits, w.rows, false, scalars(w), w.columns, false,
      scalars(call.outputs[1].tensor), x.columns, call.outputs[1].accumulates(microbatch: microbatch))
    R.product(
      w.rows, w.columns, x.rows, logits, w.rows, true, scalars(x), x.columns, false,
      scalars(call.outputs[2].tensor), w.columns, call.outputs[2].accumulates(microbatch: microbatch))
  }

  static func shape(_ heads: HeadShape, rows: Int, sequenceLength: Int) -> R.AttentionShape {
    var shape = R.AttentionShape(
      batch: rows / sequenceLength, S: sequenceLength, Hq: heads.headCount, Hkv: heads.keyValueHeadCount,
      headSize: heads.headSize)
    (shape.qStride, shape.kStride, shape.vStride) = (heads.width, heads.width, heads.width)
    (shape.dqStride, shape.dkStride, shape.dvStride) = (heads.width, heads.width, heads.width)
    return shape
  }
}
