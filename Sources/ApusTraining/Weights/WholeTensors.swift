import ApusCommunication
import ApusCore
import ApusProgram
import ApusRuntime

/// Published tensors, put together on the first rank from what all ranks hold.
///
/// One unit after the other, so that no more than a unit of every rank is in flight.
struct WholeTensors {
  let executor: Executor
  /// All ranks of the run.
  let group: any Communicator

  /// A published tensor, whole.
  struct Whole {
    let part: ExchangePart
    fileprivate(set) var values: [Float]
    private var isThere: [Bool]
    /// The first element of which two ranks hold different numbers, and the second of them.
    fileprivate(set) var contradiction: (element: Int, rank: Int)?

    fileprivate init(_ part: ExchangePart) {
      self.part = part
      values = Array(repeating: 0, count: part.count)
      isThere = Array(repeating: false, count: part.count)
    }

    /// The first element that no rank holds.
    var missing: Int? { isThere.firstIndex(of: false) }

    /// Puts a run of a rank in its place; what is there already stays.
    fileprivate mutating func put(_ run: ArraySlice<Float>, at start: Int, of rank: Int) {
      for (index, value) in zip(start..., run) {
        if isThere[index] {
          if contradiction == nil, values[index].bitPattern != value.bitPattern {
            contradiction = (index, rank)
          }
        } else {
          values[index] = value
          isThere[index] = true
        }
      }
    }
  }

  /// Hands every published tensor of a buffer to `body` on the first rank; all ranks call it. Numbers of 16-bit
  /// types are widened.
  ///
  /// - Parameter buffer: one of a unit's own buffers, or this rank's part of one; nil where the unit has none.
  func forEach(_ buffer: (ParameterUnit) -> Tensor?, _ body: (Whole) throws -> Void) throws {
    for unit in executor.program.units {
      guard let tensor = buffer(unit) else { continue }
      let values = executor.values(tensor)
      var own: [Float] = []
      for run in runs(unit, tensor, executor.position) { own += values[run.offset..<run.offset + run.count] }
      guard let all = try group.gather(own, label: "\(unit.name), whole") else { continue }
      var whole: [String: Whole] = [:]
      var names: [String] = []
      for (rank, values) in all.enumerated() {
        var next = 0
        for run in runs(unit, tensor, MeshPosition(executor.program.mesh, rank: rank)) {
          if whole[run.part.name] == nil {
            whole[run.part.name] = Whole(run.part)
            names.append(run.part.name)
          }
          whole[run.part.name]?.put(values[next..<next + run.count], at: run.global, of: rank)
          next += run.count
        }
      }
      for name in names {
        if let tensor = whole.removeValue(forKey: name) { try body(tensor) }
      }
    }
  }

  /// The runs of published tensors that a rank holds in a unit's buffer, in a fixed order.
  private func runs(
    _ unit: ParameterUnit, _ buffer: Tensor, _ position: MeshPosition
  ) -> [(part: ExchangePart, global: Int, offset: Int, count: Int)] {
    let held = unit.range(of: buffer, at: position)
    return unit.parameters.flatMap { parameter in
      parameter.parts.flatMap { part in
        parameter.boxes(of: part, at: position).flatMap { $0.intersection(held) }.flatMap { box in
          box.runs(globalColumns: part.columns).map {
            (part, $0.global, $0.offset - held.lowerBound, $0.count)
          }
        }
      }
    }
  }
}
