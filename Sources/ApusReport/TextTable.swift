import ApusCore

/// A plain-text table with aligned columns, as commands print it.
///
/// ```
/// layout      tokens/s   memory
/// ---------  ---------  -------
/// dp2             1204  3.1 GiB
/// tp2 + sp         998  2.4 GiB
/// ```
package struct TextTable: Sendable, CustomStringConvertible {
  /// Which side of its column a cell stands at. Numbers read best at the right.
  package enum Alignment: Sendable { case left, right }

  package struct Column: Sendable {
    package var title: String
    package var alignment: Alignment

    package static func text(_ title: String) -> Column { Column(title: title, alignment: .left) }
    package static func number(_ title: String) -> Column { Column(title: title, alignment: .right) }
  }

  package let columns: [Column]
  private var rows: [[String]] = []

  package init(_ columns: [Column]) { self.columns = columns }

  /// Adds a row; it has as many cells as the table has columns.
  package mutating func add(_ cells: [String]) {
    require(
      cells.count == columns.count, "table: a row of \(cells.count) cells for \(columns.count) columns")
    rows.append(cells)
  }

  /// The table's lines, each ended by a line feed, without blanks at line ends.
  package var description: String {
    let widths = columns.indices.map { index in
      rows.reduce(columns[index].title.displayWidth) { max($0, $1[index].displayWidth) }
    }
    let lines = [columns.map(\.title), widths.map { String(repeating: "-", count: $0) }] + rows
    return lines.map { cells in
      let padded = cells.indices.map { index in
        columns[index].alignment == .right
          ? cells[index].padded(left: widths[index]) : cells[index].padded(right: widths[index])
      }
      let line = padded.joined(separator: "  ")
      return String(line.reversed().drop { $0 == " " }.reversed()) + "\n"
    }.joined()
  }
}
