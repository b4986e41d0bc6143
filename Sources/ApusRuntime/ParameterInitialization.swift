import ApusProgram
import CApusKernels

extension Executor {
  /// Fills every parameter from `seed`. Each part draws from a stream of its own, keyed by seed and published
  /// name and indexed by position, so that neither fusing nor splitting changes a number. Where there are master
  /// weights they are drawn, and rounded into those that forward reads. Gradients and moments start at zero.
  package func initializeParameters(seed: UInt64) {
    for unit in program.units {
      // Padding between parameters is never read by a sum, but saved and compared: keep it zero.
      for buffer in [unit.weightsOfRecord, unit.gradients, unit.firstMoment, unit.secondMoment] {
        if let buffer { zero(buffer) }
      }
      for parameter in unit.parameters {
        for part in parameter.parts {
          let tensor = unit.view(of: parameter.tensor(of: part), in: unit.weightsOfRecord)
          initialize(floats(tensor), parameter.initializer, part.name, seed)
        }
      }
    }
    roundMasterWeights()
  }

  private func initialize(
    _ values: UnsafeMutableBufferPointer<Float>, _ initializer: Initializer, _ name: String, _ seed: UInt64
  ) {
    switch initializer {
    case .zeros: values.update(repeating: 0)
    case .ones: values.update(repeating: 1)
    case .normal(let deviation):
      apus_philox_normal_f32(
        values.baseAddress, Int64(values.count), seed ^ Self.hash(name), 0, 0, Float(deviation))
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
