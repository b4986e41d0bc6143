import ApusCore
import ApusProgram
import CApusKernels

extension Executor {
  /// Fills what this rank holds of every parameter from `seed`. Each part draws from a stream of its own, keyed by
  /// seed and published name and indexed by position in the whole tensor, so that neither fusing nor dividing
  /// changes a number. Where there are master weights those that forward reads are the same numbers rounded.
  /// Gradients and moments start at zero, like padding.
  package func initializeParameters(seed: UInt64) {
    for unit in program.units {
      for buffer in [unit.weights, unit.master, unit.gradients, unit.firstMoment, unit.secondMoment] {
        if let buffer { zero(buffer) }
      }
      for parameter in unit.parameters {
        for part in parameter.parts {
          for buffer in [unit.weights, unit.master] {
            if let buffer { initialize(buffer, unit, parameter, part, seed) }
          }
        }
      }
    }
  }

  private func initialize(
    _ buffer: Tensor, _ unit: ParameterUnit, _ parameter: Parameter, _ part: ExchangePart, _ seed: UInt64
  ) {
    for box in boxes(of: part, parameter, unit, in: buffer) {
      for run in box.runs(globalColumns: part.columns) {
        // Rounded numbers are drawn in portions.
        var done = 0
        while done < run.count {
          let count = min(run.count - done, 1 << 16)
          let stretch = buffer.columns(from: run.offset + done, count)
          write(to: stretch) { fill($0, parameter.initializer, part.name, seed, first: run.global + done) }
          done += count
        }
      }
    }
  }

  private func fill(
    _ values: UnsafeMutableBufferPointer<Float>, _ initializer: Initializer, _ name: String, _ seed: UInt64,
    first: Int
  ) {
    switch initializer {
    case .zeros: values.update(repeating: 0)
    case .ones: values.update(repeating: 1)
    case .normal(let deviation):
      apus_philox_normal_f32(
        values.baseAddress, Int64(values.count), seed ^ Self.hash(name), UInt64(first), 0, Float(deviation))
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

  /// The same of a float32 buffer, run by run: index of the first element in the published tensor (row-major),
  /// and the elements.
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
