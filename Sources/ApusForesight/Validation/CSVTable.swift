/// A table of comma-separated values (RFC 4180): quoted fields may hold commas, line ends and doubled quotes.
package struct CSVTable: Sendable {
  package let columns: [String]
  package let rows: [Row]
  private let positions: [String: Int]

  /// One record and where it began.
  package struct Row: Sendable {
    package var line: Int
    package var fields: [String]
  }

  /// Why a text is no table.
  package struct Fault: Error, Equatable, Sendable, CustomStringConvertible {
    package var name: String
    package var line: Int
    package var problem: String

    package var description: String { "\(name):\(line): \(problem)" }
  }

  /// Parses a text whose first record names the columns.
  ///
  /// - Parameter name: the file's name, which faults show.
  package init(_ text: String, name: String) throws(Fault) {
    let records = try Self.records(Array(text.utf8), name: name)
    guard let header = records.first else {
      throw Fault(name: name, line: 1, problem: "is empty; the first line names the columns")
    }
    var positions: [String: Int] = [:]
    for (index, column) in header.fields.enumerated() {
      guard positions.updateValue(index, forKey: column) == nil else {
        throw Fault(name: name, line: header.line, problem: "the column \(column) stands twice")
      }
    }
    for record in records.dropFirst() where record.fields.count != header.fields.count {
      throw Fault(
        name: name, line: record.line,
        problem: "has \(record.fields.count) fields, the header names \(header.fields.count)")
    }
    columns = header.fields
    rows = Array(records.dropFirst())
    self.positions = positions
  }

  /// The field of a column, without blanks around it; empty where the table has no such column.
  package func field(_ column: String, of row: Row) -> String {
    guard let index = positions[column] else { return "" }
    return String(row.fields[index].trimmed)
  }

  package func has(_ column: String) -> Bool { positions[column] != nil }

  private static func records(_ bytes: [UInt8], name: String) throws(Fault) -> [Row] {
    let (comma, quote, feed, carriage) = (UInt8(44), UInt8(34), UInt8(10), UInt8(13))
    var records: [Row] = []
    var fields: [String] = []
    var field: [UInt8] = []
    var (index, line, start) = (0, 1, 1)
    // A byte order mark is no part of the first name.
    if bytes.starts(with: [0xEF, 0xBB, 0xBF]) { index = 3 }
    var (quoted, wasQuoted) = (false, false)
    func endField() {
      fields.append(String(decoding: field, as: UTF8.self))
      field = []
      wasQuoted = false
    }
    func endRecord() {
      endField()
      if fields != [""] { records.append(Row(line: start, fields: fields)) }
      fields = []
      start = line
    }
    while index < bytes.count {
      let byte = bytes[index]
      index += 1
      if quoted {
        if byte == quote {
          if index < bytes.count, bytes[index] == quote {
            field.append(quote)
            index += 1
          } else {
            quoted = false
          }
        } else {
          if byte == feed { line += 1 }
          field.append(byte)
        }
        continue
      }
      switch byte {
      case quote:
        guard field.isEmpty, !wasQuoted else {
          throw Fault(
            name: name, line: line,
            problem: "column \(fields.count + 1) has a quote inside an unquoted field; quote it whole")
        }
        (quoted, wasQuoted) = (true, true)
      case comma: endField()
      case carriage where index < bytes.count && bytes[index] == feed: break
      // A carriage return alone ends lines in files of old spreadsheets.
      case feed, carriage:
        line += 1
        endRecord()
      default:
        guard !wasQuoted else {
          throw Fault(
            name: name, line: line, problem: "column \(fields.count + 1) goes on after its closing quote")
        }
        field.append(byte)
      }
    }
    guard !quoted else {
      throw Fault(name: name, line: start, problem: "column \(fields.count + 1) lacks its closing quote")
    }
    if !field.isEmpty || !fields.isEmpty || wasQuoted { endRecord() }
    return records
  }

  /// A record as text, quoted where needed.
  package static func line(_ fields: [String]) -> String {
    fields.map { field in
      field.contains { $0 == "," || $0 == "\"" || $0.isNewline }
        ? "\"" + field.split(separator: "\"", omittingEmptySubsequences: false).joined(separator: "\"\"")
          + "\""
        : field
    }.joined(separator: ",") + "\n"
  }
}

extension String {
  /// Without blanks at both ends.
  var trimmed: Substring {
    var text = self[...]
    while let first = text.first, first.isWhitespace { text.removeFirst() }
    while let last = text.last, last.isWhitespace { text.removeLast() }
    return text
  }
}
