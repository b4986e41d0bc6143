import ApusCommunication
import ApusCore
import ApusProgram
import ApusReference
import Foundation

/// Runs a program with the scalar references, in `Float` or `Double`, without a plan: each storage is an
/// array. It says what a program means; in `Double` it serves finite differences.
///
/// Every instruction computes in `Scalar`; what it writes to a 16-bit tensor is rounded once, to nearest even.
package final class Interpreter<Scalar: BinaryFloatingPoint> {
  package let program: StepProgram
  let ranks: RankGroups
  private var values: [UnsafeMutablePointer<Scalar>?]
  private var integers: [Int: UnsafeMutablePointer<Int32>] = [:]

  typealias R = Reference<Scalar>

  /// Storages start as NaN, so that reading what nobody wrote shows.
  package init(_ program: StepProgram, ranks: RankGroups = .single) {
    self.program = program
    self.ranks = ranks
    values = Array(repeating: nil, count: program.storages.count)
    for (index, storage) in program.storages.enumerated() {
      if storage.type == .int32 {
        integers[index] = .allocate(capacity: storage.count)
        integers[index]!.update(repeating: .max, count: storage.count)
      } else {
        values[index] = .allocate(capacity: storage.count)
        values[index]!.update(repeating: .nan, count: storage.count)
      }
    }
    for table in program.tables {
      switch table.content {
      case .rotary(let sine, let frequencies):
        for position in 0..<table.tensor.rows {
          for (index, frequency) in frequencies.enumerated() {
            let angle = Double(position) * frequency
            scalars(table.tensor)[position * frequencies.count + index] = Scalar(
              sine ? sin(angle) : cos(angle))
          }
        }
      }
    }
  }

  deinit {
    for pointer in values { pointer?.deallocate() }
    for pointer in integers.values { pointer.deallocate() }
  }

  /// The numbers of a tensor.
  package func scalars(_ tensor: Tensor) -> UnsafeMutablePointer<Scalar> {
    values[tensor.storage]! + tensor.offset + (tensor.shift?.range(at: ranks.position).lowerBound ?? 0)
  }

  /// The integers of a tensor.
  package func ints(_ tensor: Tensor) -> UnsafeMutablePointer<Int32> {
    integers[tensor.storage]! + tensor.offset
  }

  /// Runs a segment; `isLast` says that the micro-batch is the step's last one.
  package func run(
    _ kind: Segment.Kind, chunk: Int = 0, microbatch: Int = 0, isLast: Bool = true
  ) throws(CommunicationError) {
    for instruction in program.segment(kind, chunk: chunk)?.instructions ?? []
    where instruction.condition.holds(isLast: isLast) {
      if let (kind, neighbour, tensor) = instruction.message {
        try ranks.group(along: .pipeline)?.run(
          Collective(
            kind, from: kind == .send ? UnsafeRawPointer(scalars(tensor)) : nil,
            to: kind == .receive ? UnsafeMutableRawPointer(scalars(tensor)) : nil, count: tensor.count,
            type: floats, peer: neighbour.coordinate(from: ranks.position), label: instruction.label))
      } else if let move = instruction.op.move {
        try run(move, instruction)
      } else {
        run(instruction, microbatch)
      }
      for output in instruction.outputs where output.tensor.type != .int32 {
        output.tensor.type.round(scalars(output.tensor), output.tensor.count)
      }
    }
  }

  /// The type of the numbers that travel.
  private var floats: ElementType { Scalar.self == Double.self ? .float64 : .float32 }

  /// A move from start to end: what is recorded as under way is over at once.
  private func run(_ move: Move, _ call: Instruction) throws(CommunicationError) {
    let (x, y) = (call.inputs[0], call.outputs[0].tensor)
    func address(_ tensor: Tensor) -> UnsafeMutableRawPointer {
      tensor.type == .int32 ? UnsafeMutableRawPointer(ints(tensor)) : UnsafeMutableRawPointer(scalars(tensor))
    }
    let collective = move.collective(
      from: address(x), to: address(y), x, y, type: x.type == .int32 ? .int32 : floats,
      at: ranks.position, label: call.label)
    guard let collective, let group = ranks.group(along: move.axis) else { return }
    try group.run(collective)
  }

  /// Sets the weights that forward reads to the rounded master weights.
  package func roundMasterWeights() {
    for unit in program.units {
      guard let master = unit.master else { continue }
      let weights = unit.part(of: unit.weights)
      scalars(weights).update(from: scalars(master), count: master.count)
      weights.type.round(scalars(weights), weights.count)
    }
  }

  private func run(_ call: Instruction, _ microbatch: Int) {
    func i(_ index: Int) -> UnsafeMutablePointer<Scalar> { scalars(call.inputs[index]) }
    func o(_ index: Int) -> UnsafeMutablePointer<Scalar> { scalars(call.outputs[index].tensor) }
    func adds(_ index: Int) -> Bool { call.outputs[index].accumulates(microbatch: microbatch) }
    if case .zero = call.op { return o(0).update(repeating: 0, count: call.outputs[0].tensor.count) }
    let first = call.inputs[0]
    let (T, D) = (first.rows, first.columns)
    switch call.op {
    case .embedding(let op) where op.vocabulary != nil:
      let own = op.vocabulary!.range(at: ranks.position)
      R.embeddingPartForward(
        o(0), i(1), ints(first), first.count, call.inputs[1].columns, own.lowerBound, own.count)
    case .embeddingGradient(let op) where op.vocabulary != nil:
      let (gradient, own) = (call.inputs[1], op.vocabulary!.range(at: ranks.position))
      R.embeddingPartBackward(
        o(0), i(1), ints(first), gradient.rows, gradient.columns, call.outputs[0].tensor.rows,
        own.lowerBound, own.count, adds(0))
    case .positions(let op) where op.slice != nil:
      for stretch in op.slice!.stretches(rows(op.rows, first), ofRank: contextRank) {
        let at = stretch.row * D
        R.positionForward(o(0) + at, i(0) + at, i(1), stretch.count, D, stretch.count, stretch.place)
      }
    case .positionsGradient(let op) where op.slice != nil:
      if !adds(0) { o(0).update(repeating: 0, count: call.outputs[0].tensor.count) }
      for stretch in op.slice!.stretches(rows(op.rows, first), ofRank: contextRank) {
        R.positionBackward(
          o(0) + stretch.place * D, i(0) + stretch.row * D, stretch.count, D, stretch.count, stretch.count,
          true)
      }
    case .positions(let op) where op.rows != nil:
      for stretch in op.rows!.stretches(at: ranks.position, sequenceLength: op.sequenceLength) {
        let at = stretch.row * D
        R.positionForward(o(0) + at, i(0) + at, i(1), stretch.count, D, stretch.count, stretch.position)
      }
    case .positionsGradient(let op) where op.rows != nil:
      if !adds(0) { o(0).update(repeating: 0, count: call.outputs[0].tensor.count) }
      for stretch in op.rows!.stretches(at: ranks.position, sequenceLength: op.sequenceLength) {
        R.positionBackward(
          o(0) + stretch.position * D, i(0) + stretch.row * D, stretch.count, D, stretch.count,
          stretch.count, true)
      }
    case .bias: R.positionForward(o(0), i(0), i(1), T, D, 1, 0)
    case .crossEntropyStatistics(let op):
      let own = op.vocabulary.range(at: ranks.position)
      R.crossEntropyStatistics(o(0), i(0), ints(call.inputs[1]), T, D, own.lowerBound, own.count)
    case .crossEntropyLosses(let op):
      R.crossEntropyMerge(o(0), i(0), ints(call.inputs[1]), call.inputs[1].count, op.ranks)
    case .crossEntropyGradient(let op):
      let (logits, own) = (call.outputs[0].tensor, op.vocabulary.range(at: ranks.position))
      let weight = i(2)[Control.tokenWeight.rawValue]
      R.crossEntropyPartBackward(
        o(1), o(0), i(0), ints(call.inputs[1]), logits.rows, logits.columns, own.lowerBound, own.count,
        op.ranks, op.isScaled ? weight * i(2)[Control.lossScale.rawValue] : weight)
      if call.outputs.count > 3 { o(3).update(from: o(0), count: logits.count) }
      let sum = (0..<logits.rows).reduce(Scalar(0)) { $0 + o(1)[$1] } * weight
      o(2).pointee = adds(2) ? o(2).pointee + sum : sum
    case .move, .startMove, .waitMove, .send, .receive, .zero: break
    case .materialise: require(false, "\(call.label): a unit is materialised by a pass")
    case .embedding:
      R.embeddingForward(o(0), i(1), ints(first), first.count, call.inputs[1].columns)
    case .embeddingGradient:
      let gradient = call.inputs[1]
      R.embeddingBackward(
        o(0), i(1), ints(first), gradient.rows, gradient.columns, call.outputs[0].tensor.rows, adds(0))
    case .positions(let op):
      let start = call.inputs.count > 2 ? Int(ints(call.inputs[2]).pointee) : 0
      R.positionForward(o(0), i(0), i(1), T, D, op.sequenceLength, start)
    case .positionsGradient(let op):
      R.positionBackward(o(0), i(0), T, D, op.sequenceLength, call.outputs[0].tensor.rows, adds(0))
    case .layerNorm(let op):
      R.layernormForward(o(0), o(1), o(2), i(0), i(1), i(2), T, D, Scalar(op.epsilon))
    case .layerNormGradient:
      R.layernormBackward(o(0), i(0), i(1), i(2), i(3), i(4), T, D, adds(0))
    case .layerNormWeightGradient:
      R.layernormBackwardWeights(o(0), o(1), i(0), i(1), i(2), i(3), T, D, adds(0), adds(1))
    case .rmsNorm(let op):
      R.rmsnormForward(o(0), o(1), i(0), i(1), T, D, Scalar(op.epsilon))
    case .rmsNormGradient:
      R.rmsnormBackward(o(0), i(0), i(1), i(2), i(3), T, D, adds(0))
    case .rmsNormWeightGradient:
      R.rmsnormBackwardWeights(o(0), i(0), i(1), i(2), T, D, adds(0))
    case .linear(let op):
      let n = call.outputs[0].tensor.columns
      R.product(
        T, n, D, i(0), D, false, i(1), call.inputs[1].columns, op.layout == .outputMajor, o(0), n, false,
        call.inputs.count > 2 ? UnsafePointer(i(2)) : nil)
    case .product(let op):
      let c = call.outputs[0].tensor
      R.product(
        c.rows, c.columns, op.transposeA ? T : D, i(0), D, op.transposeA, i(1), call.inputs[1].columns,
        op.transposeB, o(0), c.columns, adds(0))
    case .columnSum: R.columnSum(o(0), i(0), T, D, D, adds(0))
    case .gelu: R.geluForward(o(0), i(0), first.count)
    case .geluGradient: R.geluBackward(o(0), i(0), i(1), first.count, adds(0))
    case .swiglu: R.swigluForward(o(0), i(0), T, D / 2)
    case .swigluGradient: R.swigluBackward(o(0), i(0), i(1), T, D, adds(0))
    case .rotary(let op) where op.slice != nil:
      for stretch in op.slice!.stretches(0..<T, ofRank: contextRank) {
        let at = stretch.row * D
        R.rotary(
          o(0) + at, i(0) + at, i(1), i(2), stretch.count, D, op.headCount, op.headSize, stretch.count,
          stretch.place, op.direction == .forward ? 1 : -1)
      }
    case .contextAttention(let op):
      R.contextAttentionForward(
        contextShape(op, rows: T), o(0), o(1), i(0), D, i(1), places: contextPlaces(op, rows: T))
    case .contextAttentionGradient(let op):
      let qkv = call.inputs[1]
      R.contextAttentionBackward(
        contextShape(op.forward, rows: qkv.rows), o(0), o(1), i(0), i(1), qkv.columns, i(2), i(4),
        places: contextPlaces(op.forward, rows: qkv.rows))
    case .route(let op):
      R.route(
        o(0), ints(call.outputs[1].tensor), ints(call.outputs[2].tensor), i(0), tokens: T,
        count: op.experts.count, k: op.experts.perToken, capacity: op.experts.capacity)
    case .routeGradient:
      R.routeBackward(
        o(0), i(0), i(1), ints(call.inputs[2]), tokens: T, count: call.outputs[0].tensor.columns, k: D)
    case .dispatch(let op):
      R.dispatch(
        o(0), i(0), ints(call.inputs[1]), tokens: T, k: op.experts.perToken, width: D,
        rows: op.experts.slots)
    case .dispatchGradient:
      let slots = call.inputs[1]
      R.combine(o(0), i(0), nil, ints(slots), tokens: slots.rows, k: slots.columns, width: D, adds: adds(0))
    case .combine:
      let slots = call.inputs[2]
      R.combine(o(0), i(0), i(1), ints(slots), tokens: slots.rows, k: slots.columns, width: D, adds: false)
    case .combineGradient:
      let slots = call.inputs[3]
      R.combineBackward(
        o(0), o(1), i(0), i(1), i(2), ints(slots), tokens: T, k: slots.columns, width: D,
        rows: call.inputs[1].rows)
    case .expertLinear(let op):
      let n = call.outputs[0].tensor.columns
      forEachBlock(op.blocks, T) { row, rows, expert, _ in
        R.product(
          rows, n, D, i(0) + row * D, D, false, i(1) + expert * n * D, D, true, o(0) + row * n, n, false)
      }
    case .expertProduct(let op):
      let k = call.inputs[1].columns
      forEachBlock(op.blocks, T) { row, rows, expert, isFirst in
        if op.of == .weights {
          R.product(
            D, k, rows, i(0) + row * D, D, true, i(1) + row * k, k, false, o(0) + expert * D * k, k,
            adds(0) || !isFirst)
        } else {
          R.product(
            rows, k, D, i(0) + row * D, D, false, i(1) + expert * D * k, k, false, o(0) + row * k, k, adds(0))
        }
      }
    case .columnSlice(let op):
      for row in 0..<T {
        (o(0) + row * op.count).update(from: i(0) + row * D + op.first, count: op.count)
      }
    case .columnSliceGradient(let op):
      let width = call.outputs[0].tensor.columns
      for row in 0..<T { R.copy(o(0) + row * width + op.first, i(0) + row * D, D, true) }
    case .rotary(let op):
      let start = call.inputs.count > 3 ? Int(ints(call.inputs[3]).pointee) : 0
      R.rotary(
        o(0), i(0), i(1), i(2), T, D, op.headCount, op.headSize, op.sequenceLength, start,
        op.direction == .forward ? 1 : -1)
    case .attention(let op):
      let shape = Self.shape(op.heads, rows: T, sequenceLength: op.sequenceLength)
      let (k, v) = op.heads.keysAndValues(i(0))
      R.attentionForward(shape, o(0), o(1), i(0), k, v)
    case .attentionGradient(let op):
      let heads = op.forward.heads
      let shape = Self.shape(heads, rows: call.inputs[1].rows, sequenceLength: op.forward.sequenceLength)
      let (k, v) = heads.keysAndValues(i(1))
      let (dk, dv) = heads.keysAndValues(o(0))
      R.attentionBackward(shape, o(0), dk, dv, i(0), i(2), i(3), o(1), i(1), k, v)
    case .cachedAttention(let op):
      let (k, v) = op.heads.keysAndValues(i(0))
      R.attentionCached(
        Self.shape(op.heads, rows: T, sequenceLength: T), o(0), i(0), k, v, o(1), o(2),
        Int(ints(call.inputs[1]).pointee))
    case .add: R.add(o(0), i(0), i(1), first.count)
    case .copy: R.copy(o(0), i(0), first.count, adds(0))
    case .headLoss: head(call, losses: o(0), microbatch)
    case .headLossGradient:
      let losses = UnsafeMutablePointer<Scalar>.allocate(capacity: T)
      defer { losses.deallocate() }
      head(call, losses: losses, microbatch)
      let weight = i(3)[Control.tokenWeight.rawValue]
      let sum = (0..<T).reduce(Scalar(0)) { $0 + losses[$1] } * weight
      o(0).pointee = adds(0) ? o(0).pointee + sum : sum
    case .addLayerNorm(let op):
      addRounded(o(0), i(0), i(1), first)
      R.layernormForward(o(1), o(2), o(3), o(0), i(2), i(3), T, D, Scalar(op.norm.epsilon))
    case .addRMSNorm(let op):
      addRounded(o(0), i(0), i(1), first)
      R.rmsnormForward(o(1), o(2), o(0), i(2), T, D, Scalar(op.norm.epsilon))
    case .biasGELU:
      withBias(i(0), i(1), first) { R.geluForward(o(0), $0, first.count) }
    case .biasGELUGradient:
      withBias(i(1), i(2), first) { R.geluBackward(o(0), i(0), $0, first.count, false) }
      first.type.round(o(0), first.count)
      R.columnSum(o(1), o(0), T, D, D, adds(1))
    case .dropout(let op): drop(op, o(0), i(0), call.inputs[1], first, microbatch, adds: false)
    case .dropoutGradient(let op):
      drop(op.forward, o(0), i(0), call.inputs[1], first, microbatch, adds: adds(0))
    case .dropoutAdd(let op):
      let dropped = UnsafeMutablePointer<Scalar>.allocate(capacity: first.count)
      defer { dropped.deallocate() }
      drop(op.dropout, dropped, i(1), call.inputs[2], first, microbatch, adds: false)
      first.type.round(dropped, first.count)
      R.add(o(0), i(0), dropped, first.count)
    case .sumOfSquares(let op):
      o(0).pointee = zip(call.inputs, op.stretches).reduce(Scalar(0)) { sum, unit in
        unit.1.reduce(sum) {
          let range = $1.stretch.range(at: ranks.position)
          let squares = R.sumOfSquares(scalars(unit.0) + range.lowerBound, range.count)
          return $0 + Scalar(squares) / Scalar($1.copies)
        }
      }
    case .clip(let op):
      let scale = op.isScaled ? i(1)[Control.lossScale.rawValue] : 1
      let norm = i(0).pointee.squareRoot() / scale
      o(0).pointee = norm
      o(1).pointee = (op.maximumNorm > 0 ? min(1, Scalar(op.maximumNorm) / (norm + 1e-6)) : 1) / scale
    case .adamW(let op):
      let control = i(2)
      for range in op.ranges {
        let own = range.stretch.range(at: ranks.position)
        R.adamw(
          o(0) + own.lowerBound, o(1) + own.lowerBound, o(2) + own.lowerBound, i(0) + own.lowerBound,
          own.count,
          control[Control.learningRate.rawValue], Scalar(op.beta1), Scalar(op.beta2), Scalar(op.epsilon),
          range.decays ? Scalar(op.weightDecay) : 0, control[Control.correction1.rawValue],
          control[Control.correction2.rawValue], i(1).pointee)
        if call.outputs.count > 3 {
          (o(3) + own.lowerBound).update(from: o(0) + own.lowerBound, count: own.count)
        }
      }
    }
  }
}

extension HeadShape {
  /// Where keys and values start in rows of queries, keys and values side by side.
  fileprivate func keysAndValues<Scalar>(
    _ q: UnsafeMutablePointer<Scalar>
  ) -> (UnsafeMutablePointer<Scalar>, UnsafeMutablePointer<Scalar>) {
    (q + queryWidth, q + queryWidth + keyWidth)
  }
}
