import ApusCore
import ApusProgram
import CApusKernels

extension Executor {
  /// Fills what this rank holds of every parameter from `seed`. Each part draws from a stream of its own, keyed by
  /// seed and published name and indexed by position in the whole tensor, so that neither fusing nor dividing
  /// changes a number. Gradients and moments start at zero, like padding.
  package func initializeParameters(seed: UInt64) {
    for unit in program.units {
      for buffer in [unit.weights, unit.gradients, unit.firstMoment, unit.secondMoment].compactMap({ $0 }) {
        floats(buffer).update(repeating: 0)
      }
      for parameter in unit.parameters {
        for part in parameter.parts { initialize(unit, parameter, part, seed) }
      }
    }
  }

  private func initialize(_ unit: ParameterUnit, _ parameter: Parameter, _ part: ExchangePart, _ seed: UInt64)
  {
    for run in runs(of: part, parameter, unit, in: unit.weights) {
      let values = run.values
      switch parameter.initializer {
      case .zeros: values.update(repeating: 0)
      case .ones: values.update(repeating: 1)
      case .normal(let deviation):
        apus_philox_normal_f32(
          values.baseAddress, Int64(values.count), seed ^ Self.hash(part.name), UInt64(run.index), 0,
          Float(deviation))
      }
    }
  }

  /// FNV-1a, 64 bits.
  private static func hash(_ name: String) -> UInt64 {
    name.utf8.reduce(0xcbf2_9ce4_8422_2325) { ($0 ^ UInt64($1)) &* 0x100_0000_01b3 }
  }

  // MARK: What a rank holds of a published tensor

  /// The rectangles of a published tensor that `buffer`, one of the unit's, holds on this rank: as elements of
  /// the buffer.
  package func boxes(
    of part: ExchangePart, _ parameter: Parameter, _ unit: ParameterUnit, in buffer: Tensor
  ) -> [OwnedBox] {
    let held = unit.range(of: buffer, at: position)
    return parameter.boxes(of: part, at: position).flatMap { $0.intersection(held) }.map { box in
      var box = box
      box.offset -= held.lowerBound
      return box
    }
  }

  /// The same, run by run: index of the first element in the published tensor (row-major), and the elements.
  package func runs(
    of part: ExchangePart, _ parameter: Parameter, _ unit: ParameterUnit, in buffer: Tensor
  ) -> [(index: Int, values: UnsafeMutableBufferPointer<Float>)] {
    let values = floats(buffer)
    return boxes(of: part, parameter, unit, in: buffer).flatMap { box in
      box.runs(globalColumns: part.columns).map { run in
        (run.global, UnsafeMutableBufferPointer(rebasing: values[run.offset..<run.offset + run.count]))
      }
    }
  }
}
