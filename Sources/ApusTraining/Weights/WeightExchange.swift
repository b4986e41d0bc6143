import ApusCheckpoint
import ApusCore
import ApusProgram
import ApusRuntime

/// Copies weights and moments between an executor's arena and files, part by part under published names, in
/// float32: where there are master weights, those are the weights.
///
/// A rank reads and writes the rectangles of each published tensor that it holds, whatever the layout that wrote
/// a file.
package struct WeightExchange {
  package let executor: Executor

  package init(_ executor: Executor) { self.executor = executor }

  /// Which of a unit's buffers is meant. Moments are saved under the parameter's name with a prefix.
  package enum Buffer: String, CaseIterable {
    case weights = ""
    case firstMoment = "optimizer.first_moment."
    case secondMoment = "optimizer.second_moment."
  }

  /// Reads what this rank holds of every weight; of the moments too where asked for. Numbers that are not finite
  /// are refused.
  package func read(from source: some TensorSource, moments: Bool = false) throws(CheckpointError) {
    for buffer in buffers(moments: moments) {
      for held in self.held(buffer) {
        let name = buffer.rawValue + held.part.name
        for box in held.boxes {
          try read(name, held, box, from: source)
        }
      }
    }
    executor.roundMasterWeights()
  }

  private func read(
    _ name: String, _ held: Held, _ box: OwnedBox, from source: some TensorSource
  ) throws(CheckpointError) {
    let columns = box.columns.count
    let portions = box.stride == columns ? [box.rows] : box.rows.map { $0..<$0 + 1 }
    for rows in portions {
      let offset = box.offset + (rows.lowerBound - box.rows.lowerBound) * box.stride
      let values = UnsafeMutableBufferPointer(
        rebasing: held.values[offset..<offset + rows.count * columns])
      let isVector = held.part.shape.count == 1
      try source.read(
        name, into: values.baseAddress!,
        start: isVector ? [box.columns.lowerBound] : [rows.lowerBound, box.columns.lowerBound],
        extents: isVector ? [columns] : [rows.count, columns])
      if let element = values.firstIndex(where: { !$0.isFinite }) {
        let row = rows.lowerBound + element / columns
        throw .notFinite(
          name: name, element: row * held.part.columns + box.columns.lowerBound + element % columns,
          value: "\(values[element])")
      }
    }
  }

  /// This rank's pieces of a checkpoint, as they lie in the arena: nothing is copied until they are written. Of
  /// what several ranks hold in copies one gives the piece.
  package func checkpointPieces(moments: Bool) -> [CheckpointPiece] {
    buffers(moments: moments).flatMap { buffer in
      held(buffer).filter(\.isGivenHere).flatMap { held in
        held.boxes.map { box in piece(buffer.rawValue + held.part.name, held, box) }
      }
    }
  }

  private func piece(_ name: String, _ held: Held, _ box: OwnedBox) -> CheckpointPiece {
    let (rows, columns) = (box.rows.count, box.columns.count)
    let extent = (rows - 1) * box.stride + columns
    let bytes = UnsafeRawBufferPointer(
      UnsafeMutableBufferPointer(rebasing: held.values[box.offset..<box.offset + extent]))
    let isVector = held.part.shape.count == 1
    return CheckpointPiece(
      tensor: name, type: .float32, globalShape: held.part.shape,
      box: isVector
        ? Box(start: [box.columns.lowerBound], extents: [columns])
        : Box(start: [box.rows.lowerBound, box.columns.lowerBound], extents: [rows, columns]),
      bytes: bytes, rowStride: box.stride * MemoryLayout<Float>.size, owner: executor)
  }

  /// Every part of a buffer: name, published shape, and its numbers in the arena, where this rank holds all of it
  /// in one piece.
  package func parts(
    _ buffer: Buffer
  ) -> [(name: String, shape: [Int], values: UnsafeMutableBufferPointer<Float>)] {
    held(buffer).map { held in
      let part = held.part
      require(
        held.boxes.count == 1 && held.boxes[0].rows.count * held.boxes[0].columns.count == part.count
          && held.boxes[0].stride == part.columns,
        "\(part.name) does not lie in one piece on this rank")
      let offset = held.boxes[0].offset
      return (
        buffer.rawValue + part.name, part.shape,
        UnsafeMutableBufferPointer(rebasing: held.values[offset..<offset + part.count])
      )
    }
  }

  // MARK: What this rank holds

  /// A published tensor and this rank's rectangles of it, as elements of one of the unit's buffers.
  private struct Held {
    let part: ExchangePart
    let boxes: [OwnedBox]
    let values: UnsafeMutableBufferPointer<Float>
    /// Whether, of the ranks that hold copies, this is the one that gives them away.
    let isGivenHere: Bool
  }

  private func held(_ buffer: Buffer) -> [Held] {
    executor.program.units.flatMap { unit in
      let tensor = tensor(of: unit, buffer)
      let values = executor.floats(tensor)
      return unit.parameters.flatMap { parameter in
        parameter.parts.map { part in
          Held(
            part: part, boxes: executor.boxes(of: part, parameter, unit, in: tensor), values: values,
            isGivenHere: isFirstCopy(part, isDivided: tensor.count < unit.count))
        }
      }
    }
  }

  /// Whether this rank is the first of those that hold the same elements.
  private func isFirstCopy(_ part: ExchangePart, isDivided: Bool) -> Bool {
    let position = executor.position
    var axes = [isDivided ? MeshAxis.replica : position.mesh.gradientAxis]
    switch part.blocks.first?.axis {
    case nil: axes.append(.tensor)
    case .keyValueHeads: axes.append(.keyValueCopies)
    default: break
    }
    return axes.allSatisfy { position.coordinate(on: $0) == 0 }
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
