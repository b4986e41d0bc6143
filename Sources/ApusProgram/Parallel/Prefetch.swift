import ApusCore

/// Starts ZeRO-3's gathers ahead of their first reader, inside a window of units: with a window of one, a unit is
/// gathered while the one before it is in use. Without the bound all gathers could start at once, since they
/// depend on nothing, and all parameters would be whole at the same time.
package enum Prefetch {
  /// Splits each gather of a segment into its start and its end.
  package static func apply(_ instructions: [Instruction], in recorder: inout StepRecorder) -> [Instruction] {
    let window = recorder.communication.prefetchedUnits
    guard window > 0, recorder.communication.gradients == .overlapped else { return instructions }
    let gathers = instructions.indices.filter { instructions[$0].gathersParameters }
    var starts: [Int: [Instruction]] = [:]
    var ends: [Int: Instruction] = [:]
    for (order, index) in gathers.enumerated() {
      guard let move = instructions[index].op.move else { continue }
      let transfer = recorder.nextTransfer()
      var start = instructions[index]
      start.op = .startMove(StartMove(move: move, transfer: transfer))
      var end = instructions[index]
      end.op = .waitMove(WaitMove(move: move, transfer: transfer))
      end.inputs += end.outputs.map(\.tensor)
      end.outputs = []
      ends[index] = end
      // Behind the end of the gather `window` units before; the first ones where the first is needed.
      starts[gathers[max(0, order - window)], default: []].append(start)
    }
    return instructions.indices.flatMap { index -> [Instruction] in
      guard let end = ends[index] else { return [instructions[index]] }
      let starting = starts[index] ?? []
      // The first gathers start before anything is waited for.
      return index == gathers.first ? starting + [end] : [end] + starting
    }
  }
}

extension Instruction {
  fileprivate var gathersParameters: Bool {
    guard case .move(let move) = op else { return false }
    return move.axis == .shard && move.collective == .allGather
  }
}
