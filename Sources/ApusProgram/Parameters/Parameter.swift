import ApusCore

/// How a parameter is filled before the first step.
public enum Initializer: Hashable, Sendable {
  case zeros
  case ones
  /// Normal numbers of mean zero, drawn by (seed, name, global index): the same in every layout.
  case normal(deviation: Double)
}

/// A part of a parameter that is a tensor of its own in published files: queries, keys and values are three such
/// parts of one fused matrix.
package struct ExchangePart: Hashable, Sendable {
  /// The published name.
  package var name: String
  /// The published shape, `[D]` or `[rows, columns]`, over all ranks.
  package var shape: [Int]
  /// Where a rank holds which rectangles of it.
  package var blocks: [ExchangeBlock]

  package var count: Int { shape.reduce(1, *) }
  /// Columns of the published tensor; a vector is one row.
  package var columns: Int { shape[shape.count - 1] }
  package var rows: Int { count / columns }
}

/// A weight of the model: a matrix inside its unit.
package struct Parameter: Hashable, Sendable {
  package var name: String
  /// What a rank holds, as a part of the unit.
  package var tensor: Tensor
  package var initializer: Initializer
  /// Whether weight decay applies by default: to matrices, not to norms and biases.
  package var isMatrix: Bool
  package var parts: [ExchangePart]
  /// The tensor's elements by how the ranks of the tensor axis hold them.
  package var stretches: [ParameterStretch]

  /// The rectangles of a part that a rank of the tensor axis holds, as elements of the unit; padding is left out.
  package func boxes(of part: ExchangePart, at position: MeshPosition) -> [OwnedBox] {
    part.blocks.compactMap { block in
      let coordinate = block.axis.map { position.coordinate(on: $0) } ?? 0
      let row = block.globalRow + (block.dimension == .rows ? coordinate * block.rows : 0)
      let column = block.globalColumn + (block.dimension == .columns ? coordinate * block.columns : 0)
      let rows = row..<min(row + block.rows, max(row, part.rows))
      let columns = column..<min(column + block.columns, max(column, part.columns))
      guard !rows.isEmpty, !columns.isEmpty else { return nil }
      return OwnedBox(
        rows: rows, columns: columns,
        offset: tensor.offset + block.row * tensor.columns + block.column, stride: tensor.columns)
    }
  }
}

/// Parameters that are stored, updated and communicated together: a layer's weights, or those of several small
/// layers, side by side in one flat buffer, each starting at a multiple of 16 elements.
///
/// Where ranks divide a buffer, rank i of the shard axis holds its i-th equal part.
public struct ParameterUnit: Hashable, Sendable {
  package var name: String
  package var parameters: [Parameter]
  /// The whole unit as forward reads it, `[1, count]`, in the type that forward and backward compute in: what
  /// parameters' tensors are parts of.
  package var flat: Tensor
  /// The weights that this rank keeps: `flat`, or with ZeRO-3 the rank's part of it.
  package var weights: Tensor
  /// Float32 weights that the optimizer updates and rounds into `weights`, where those are shorter. They are
  /// the weights of record: initialised, saved and read. From ZeRO-1 on the rank's part.
  package var master: Tensor?
  /// Sums of gradients; from ZeRO-2 on the rank's part. Present when training, like the moments.
  package var gradients: Tensor?
  /// From ZeRO-1 on the rank's part.
  package var firstMoment: Tensor?
  package var secondMoment: Tensor?
  /// A rank's part of what is divided; nil where nothing is.
  package var shard: ShardSlice?
  /// Whether these are a rank's own experts, of others than its neighbours': their gradients are summed over the ranks that hold the same ones, and
  /// nothing of them is divided further.
  package var isExpert = false

  package var count: Int { flat.count }

  /// The weights that are saved and read: the master where there is one.
  package var weightsOfRecord: Tensor { master ?? weights }

  /// The stretch of `buffer`, one of the unit's whole ones, that holds what belongs to a parameter.
  package func view(of parameter: Tensor, in buffer: Tensor) -> Tensor {
    require(buffer.count == count, "\(name): a buffer that is divided over ranks has no whole parameters")
    var tensor = parameter
    tensor.storage = buffer.storage
    tensor.type = buffer.type
    return tensor
  }

  /// The gradient of a parameter: the same stretch of the gradient buffer.
  package func gradient(of parameter: Tensor) -> Tensor {
    guard let gradients else {
      require(false, "\(name): this program has no gradients")
      return parameter
    }
    var tensor = view(of: parameter, in: gradients)
    tensor.placement = parameter.placement.dual
    return tensor
  }

  /// The elements of the unit that `buffer`, one of its own, holds on a rank.
  package func range(of buffer: Tensor, at position: MeshPosition) -> Range<Int> {
    guard let shard, buffer.count < count else { return 0..<count }
    return shard.range(at: position)
  }

  /// The rank's part of a whole buffer.
  package func part(of buffer: Tensor) -> Tensor {
    guard let shard, buffer.count == count else { return buffer }
    var view = buffer
    view.columns = shard.count
    view.shift = shard
    return view
  }

  /// Stretches of the unit's elements, padding left out; neighbours that `same` finds alike are one.
  func stretches<Trait: Equatable>(
    _ trait: (Parameter, ParameterStretch) -> Trait
  ) -> [(stretch: UnitStretch, trait: Trait)] {
    var result: [(stretch: UnitStretch, trait: Trait)] = []
    for parameter in parameters {
      for stretch in parameter.stretches {
        let trait = trait(parameter, stretch)
        if let last = result.last, last.trait == trait,
          last.stretch.offset + last.stretch.count == stretch.offset
        {
          result[result.count - 1].stretch.count += stretch.count
        } else {
          result.append((UnitStretch(offset: stretch.offset, count: stretch.count), trait))
        }
      }
    }
    return result
  }
}
