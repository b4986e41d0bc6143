import ApusCore

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

  package init(rows: Range<Int>, columns: Range<Int>, offset: Int, stride: Int) {
    self.rows = rows
    self.columns = columns
    self.offset = offset
    self.stride = stride
  }

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
