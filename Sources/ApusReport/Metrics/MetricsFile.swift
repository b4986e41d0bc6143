import Foundation

/// The file `metrics.jsonl` of a run: one step record a line, each on the disk's side of the process
/// before the next step starts, so that a killed run keeps every finished step.
package struct MetricsFile: ~Copyable {
  private let file: AppendedFile

  /// Opens the file for appending.
  ///
  /// - Parameter lastStep: the step that a resumed run goes on from; records after it, which the
  ///   earlier process wrote beyond its last checkpoint, are cut off, and so is a torn last line.
  ///   `nil` starts an empty file.
  /// - Throws: `ReportError.system`; `.malformedMetrics` where an earlier line is no record.
  package init(path: String, resumingAfter lastStep: Int? = nil) throws(ReportError) {
    var kept = Extent(byteCount: 0, endsWithLineFeed: true)
    if let lastStep { kept = try Self.extent(of: path, through: lastStep) }
    let file = try AppendedFile.open(path: path, keeping: kept.byteCount)
    if !kept.endsWithLineFeed { try file.append([UInt8(ascii: "\n")]) }
    self.file = file
  }

  /// Appends one record; it is handed to the operating system before this returns.
  package func append(_ record: StepRecord) throws(ReportError) {
    try file.append(Array((record.jsonLine + "\n").utf8))
  }

  /// All records of a file, in order. A last line that is no record, as a killed process leaves it,
  /// is left out.
  package static func read(path: String) throws(ReportError) -> [StepRecord] {
    var records: [StepRecord] = []
    try scan(path: path) { record, _ in records.append(record) }
    return records
  }

  private struct Extent {
    var byteCount: Int
    var endsWithLineFeed: Bool
  }

  private static func extent(of path: String, through lastStep: Int) throws(ReportError) -> Extent {
    guard FileManager.default.fileExists(atPath: path) else {
      return Extent(byteCount: 0, endsWithLineFeed: true)
    }
    var extent = Extent(byteCount: 0, endsWithLineFeed: true)
    var beyond = false
    try scan(path: path) { record, end in
      beyond = beyond || record.step > lastStep
      if !beyond { extent = end }
    }
    return extent
  }

  /// Calls `body` with each record and with where its line ends.
  private static func scan(
    path: String, _ body: (StepRecord, Extent) -> Void
  ) throws(ReportError) {
    let bytes: Data
    errno = 0
    do {
      bytes = try Data(contentsOf: URL(fileURLWithPath: path))
    } catch {
      throw .system(action: "read", path: path, code: errno == 0 ? EIO : errno)
    }
    var start = bytes.startIndex
    var line = 0
    while start < bytes.endIndex {
      line += 1
      let lineFeed = bytes[start...].firstIndex(of: UInt8(ascii: "\n"))
      let end = lineFeed ?? bytes.endIndex
      let next = lineFeed.map { $0 + 1 } ?? bytes.endIndex
      if end > start {
        do {
          let record = try StepRecord(jsonLine: bytes[start..<end])
          body(record, Extent(byteCount: next - bytes.startIndex, endsWithLineFeed: lineFeed != nil))
        } catch {
          if next == bytes.endIndex { return }
          throw .malformedMetrics(path: path, line: line, reason: "\(error)")
        }
      }
      start = next
    }
  }
}
