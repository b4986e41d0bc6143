import ApusCore

/// How a parameter is divided over the tensor axis.
public enum ParameterSplit: Hashable, Sendable {
  /// Every rank holds all of it. `gradientArrivesWhole` says whether each rank computes all of its gradient, or
  /// a term of it, as from a part of the tokens.
  case whole(gradientArrivesWhole: Bool)
  /// Each rank holds an equal part of each section along a dimension.
  case along(TensorDimension, [Section])

  /// A stretch of rows or columns that is divided by itself, such as the queries of a fused matrix.
  public struct Section: Hashable, Sendable {
    /// The published tensor that these rows are; nil where the whole parameter is one published tensor.
    package var name: String?
    /// Rows or columns over all ranks.
    package var extent: Int
    package var axis: MeshAxis

    package init(name: String? = nil, _ extent: Int, over axis: MeshAxis = .tensor) {
      self.name = name
      self.extent = extent
      self.axis = axis
    }

    /// Rows or columns on each of `mesh`'s ranks; the last ranks' may exceed the extent and are padding then.
    func localExtent(on mesh: Mesh) -> Int {
      let degree = mesh.degree(of: axis)
      return (extent + degree - 1) / degree
    }
  }

  var placement: Placement {
    switch self {
    case .whole(let whole): whole ? .invariant : .replicated
    case .along(let dimension, _): .sharded(dimension)
    }
  }
}

/// A rectangle of a published tensor that each rank holds a part of: its place in the rank's matrix, and its
/// place in the published one at coordinate 0, from which the others' follow.
package struct ExchangeBlock: Hashable, Sendable {
  /// Place and size in the parameter's matrix on a rank.
  package var row: Int
  package var column: Int
  package var rows: Int
  package var columns: Int
  /// Place in the published tensor, as a matrix, at coordinate 0.
  package var globalRow: Int
  package var globalColumn: Int
  /// Over which axis and along which dimension the ranks' blocks follow each other; nil where all hold the same.
  package var axis: MeshAxis?
  package var dimension: TensorDimension = .rows
}

/// A rectangle of a published tensor and where a rank holds it.
package struct OwnedBox: Hashable, Sendable {
  /// Rows and columns of the published tensor; a vector has one row.
  package var rows: Range<Int>
  package var columns: Range<Int>
  /// Element of the unit at which the rectangle starts, and elements between its rows.
  package var offset: Int
  package var stride: Int

  /// The rows' runs of elements: index into the published tensor of `globalColumns` columns, element of the
  /// unit, count.
  package func runs(globalColumns: Int) -> [(global: Int, offset: Int, count: Int)] {
    if columns.count == globalColumns, stride == globalColumns {
      return [(rows.lowerBound * globalColumns, offset, rows.count * globalColumns)]
    }
    return rows.enumerated().map { index, row in
      (row * globalColumns + columns.lowerBound, offset + index * stride, columns.count)
    }
  }

  /// What of the rectangle lies in a stretch of the unit: at most three rectangles.
  package func intersection(_ stretch: Range<Int>) -> [OwnedBox] {
    var boxes: [OwnedBox] = []
    func append(_ rows: Range<Int>, _ columns: Range<Int>, _ row: Int) {
      guard !rows.isEmpty, !columns.isEmpty else { return }
      boxes.append(
        OwnedBox(
          rows: rows, columns: columns,
          offset: offset + row * stride + columns.lowerBound - self.columns.lowerBound, stride: stride))
    }
    var whole: Range<Int>?
    for index in 0..<rows.count {
      let start = offset + index * stride
      let row = rows.lowerBound + index
      let run = (start..<start + columns.count).clamped(to: stretch)
      if run.count == columns.count {
        whole = (whole?.lowerBound ?? row)..<row + 1
      } else if !run.isEmpty {
        if let finished = whole { append(finished, columns, finished.lowerBound - rows.lowerBound) }
        whole = nil
        let first = columns.lowerBound + run.lowerBound - start
        append(row..<row + 1, first..<first + run.count, index)
      }
    }
    if let finished = whole { append(finished, columns, finished.lowerBound - rows.lowerBound) }
    return boxes
  }
}
