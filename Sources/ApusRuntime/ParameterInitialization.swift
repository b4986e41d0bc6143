import ApusProgram
import CApusKernels

extension Executor {
  /// Fills every parameter from `seed`. Each part draws from a stream of its own, keyed by seed and published
  /// name and indexed by position, so that neither fusing nor splitting changes a number. Gradients and
  /// moments start at zero.
  package func initializeParameters(seed: UInt64) {
    for unit in program.units {
      // Padding between parameters is never read by a sum, but saved and compared: keep it zero.
      floats(unit.weights).update(repeating: 0)
      for buffer in [unit.gradients, unit.firstMoment, unit.secondMoment].compactMap({ $0 }) {
        floats(buffer).update(repeating: 0)
      }
      for parameter in unit.parameters {
        for part in parameter.parts { initialize(parameter, part, seed) }
      }
    }
  }

  private func initialize(_ parameter: Parameter, _ part: ExchangePart, _ seed: UInt64) {
    let values = floats(parameter.tensor(of: part))
    switch parameter.initializer {
    case .zeros: values.update(repeating: 0)
    case .ones: values.update(repeating: 1)
    case .normal(let deviation):
      apus_philox_normal_f32(
        values.baseAddress, Int64(values.count), seed ^ Self.hash(part.name), 0, 0, Float(deviation))
    }
  }

  /// FNV-1a, 64 bits.
  private static func hash(_ name: String) -> UInt64 {
    name.utf8.reduce(0xcbf2_9ce4_8422_2325) { ($0 ^ UInt64($1)) &* 0x100_0000_01b3 }
  }
}

extension Parameter {
  /// The rows of the parameter that a published tensor names.
  package func tensor(of part: ExchangePart) -> Tensor {
    var view = tensor
    view.offset += part.row * tensor.columns
    view.rows = part.count / tensor.columns
    return view
  }
}
