import ApusCore
import Foundation

/// The records of a sweep on disk, a line each, appended as runs end: a sweep that was stopped goes on where it was.
package final class SweepLedger {
  package let path: String
  /// In the order of the file; of several with one hash the last.
  package private(set) var records: [SweepRecord] = []
  private var positions: [String: Int] = [:]
  private let file: FileHandle

  /// Opens the ledger, or begins one. A torn last line, left by a run that was killed, is cut off.
  package init(path: String) throws(ForesightError) {
    self.path = path
    let data = FileManager.default.contents(atPath: path) ?? Data()
    var whole = data.startIndex
    var read: [SweepRecord] = []
    let decoder = JSONDecoder()
    while let end = data[whole...].firstIndex(of: UInt8(ascii: "\n")) {
      do { read.append(try decoder.decode(SweepRecord.self, from: data[whole..<end])) } catch {
        throw .unusableLedger(path: path, line: read.count + 1)
      }
      whole = data.index(after: end)
    }
    if !FileManager.default.fileExists(atPath: path) {
      _ = FileManager.default.createFile(atPath: path, contents: nil)
    }
    guard let file = FileHandle(forUpdatingAtPath: path) else { throw .ledgerNotWritable(path: path) }
    do {
      try file.truncate(atOffset: UInt64(whole - data.startIndex))
      try file.seekToEnd()
    } catch { throw .ledgerNotWritable(path: path) }
    self.file = file
    for record in read { remember(record) }
  }

  /// The record of a hash.
  package func record(_ hash: String) -> SweepRecord? { positions[hash].map { records[$0] } }

  /// Adds records; they are on disk when this returns.
  package func append(_ new: [SweepRecord]) throws(ForesightError) {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    do {
      var lines = Data()
      for record in new { lines += try encoder.encode(record) + Data("\n".utf8) }
      try file.write(contentsOf: lines)
      try file.synchronize()
    } catch { throw .ledgerNotWritable(path: path) }
    for record in new { remember(record) }
  }

  private func remember(_ record: SweepRecord) {
    if let position = positions[record.hash] {
      records[position] = record
    } else {
      positions[record.hash] = records.count
      records.append(record)
    }
  }

  deinit { try? file.close() }
}
