import ApusCheckpoint
import ApusCore
import ApusProgram
import ApusRuntime

/// Copies weights and moments between an executor's arena and files, part by part under published names, in
/// float32: where there are master weights, those are the weights.
package struct WeightExchange {
  package let executor: Executor

  package init(_ executor: Executor) { self.executor = executor }

  /// Which of a unit's buffers is meant. Moments are saved under the parameter's name with a prefix.
  package enum Buffer: String, CaseIterable {
    case weights = ""
    case firstMoment = "optimizer.first_moment."
    case secondMoment = "optimizer.second_moment."
  }

  /// Reads every weight; `moments` too where asked for. Numbers that are not finite are refused.
  package func read(from source: some TensorSource, moments: Bool = false) throws(CheckpointError) {
    for buffer in buffers(moments: moments) {
      for (name, _, values) in parts(buffer) {
        try source.read(name, into: values.baseAddress!)
        if let element = values.firstIndex(where: { !$0.isFinite }) {
          throw .notFinite(name: name, element: element, value: "\(values[element])")
        }
      }
    }
    executor.roundMasterWeights()
  }

  /// Pieces of a checkpoint that lie where the arena has them: nothing is copied until they are written.
  package func checkpointPieces(moments: Bool) -> [CheckpointPiece] {
    buffers(moments: moments).flatMap { buffer in
      parts(buffer).map { name, shape, values in
        CheckpointPiece(
          tensor: name, type: .float32, globalShape: shape, bytes: UnsafeRawBufferPointer(values),
          owner: executor)
      }
    }
  }

  /// Every part of a buffer: name, published shape, and its numbers in the arena, where this rank holds all of it
  /// in one piece.
  package func parts(
    _ buffer: Buffer
  ) -> [(name: String, shape: [Int], values: UnsafeMutableBufferPointer<Float>)] {
    executor.program.units.flatMap { unit in
      unit.parameters.flatMap { parameter in
        parameter.parts.map { part in
          let runs = executor.runs(of: part, parameter, unit, in: tensor(of: unit, buffer))
          require(
            runs.count == 1 && runs[0].values.count == part.count,
            "\(part.name) does not lie in one piece on this rank")
          return (buffer.rawValue + part.name, part.shape, runs[0].values)
        }
      }
    }
  }

  private func buffers(moments: Bool) -> [Buffer] { moments ? Buffer.allCases : [.weights] }

  private func tensor(of unit: ParameterUnit, _ buffer: Buffer) -> Tensor {
    let tensor: Tensor?
    switch buffer {
    case .weights: tensor = unit.weightsOfRecord
    case .firstMoment: tensor = unit.firstMoment
    case .secondMoment: tensor = unit.secondMoment
    }
    guard let tensor else {
      require(false, "\(unit.name): this program has no optimizer states")
      return unit.weights
    }
    return tensor
  }
}
