import ApusReport
import Foundation
import Testing

@Suite struct TensorBoardTests {
  /// Source: RFC 3720, appendix B.4, and the check value of the CRC catalogues.
  @Test func checksumVectors() {
    #expect(CRC32C.checksum([UInt8](repeating: 0, count: 32)) == 0x8A91_36AA)
    #expect(CRC32C.checksum([UInt8](repeating: 0xFF, count: 32)) == 0x62A8_AB43)
    #expect(CRC32C.checksum((0..<32).map { UInt8($0) }) == 0x46DD_794E)
    #expect(CRC32C.checksum((0..<32).reversed().map { UInt8($0) }) == 0x113F_DB5C)
    #expect(CRC32C.checksum("123456789".utf8) == 0xE306_9283)
  }

  @Test func recordOfTheFileVersion() {
    let data = TensorBoardEvent.fileVersion.encoded(wallTime: 1.0)
    #expect(data == [0x09, 0, 0, 0, 0, 0, 0, 0xF0, 0x3F, 0x1A, 0x0D] + Array("brain.Event:2".utf8))
    let record = TFRecord.frame(data)
    #expect(record.count == 8 + 4 + 24 + 4)
    // As every event file of TensorFlow starts.
    #expect(Array(record[..<12]) == [24, 0, 0, 0, 0, 0, 0, 0, 0xA3, 0x7F, 0x4B, 0x22])
    #expect(Array(record[12..<36]) == data)
    // As tensorboard's own RecordWriter writes it.
    #expect(Array(record[36...]) == [0x86, 0xBF, 0x57, 0x7A])
  }

  @Test func bytesOfAScalar() {
    let bytes = TensorBoardEvent.scalars(step: 300, [("a", 1.5)]).encoded(wallTime: 0)
    #expect(
      bytes == [
        0x09, 0, 0, 0, 0, 0, 0, 0, 0,  // wall_time
        0x10, 0xAC, 0x02,  // step 300
        0x2A, 10,  // summary
        0x0A, 8,  // value
        0x0A, 1, 0x61,  // tag
        0x15, 0, 0, 0xC0, 0x3F,  // simple_value
      ])
  }

  @Test func everyNumberHasItsTagOnce() {
    let tags = TensorBoardWriter.tags
    #expect(Set(tags.map(\.tag)).count == tags.count)
    let keys = Set(tags.map(\.key)).union([.step, .secondsLeft, .communication])
    #expect(keys == Set(StepRecord.CodingKeys.allCases))
  }

  @Test func twoWritersOfOneSecondTakeTwoFiles() throws {
    let folder = try TemporaryFolder()
    let first = try TensorBoardWriter(folder: folder.path + "/new", wallTime: 1_700_000_000)
    let second = try TensorBoardWriter(folder: folder.path + "/new", wallTime: 1_700_000_000)
    #expect(first.path != second.path)
    #expect(first.path.contains("events.out.tfevents.1700000000."))
  }

  /// TensorBoard itself reads the files of a run that was killed after step 5 and resumed after step 3.
  @Test(.enabled(if: pythonHasTensorBoard, "skipped: no python3 with the tensorboard package on the path"))
  func tensorBoardReadsIt() throws {
    let folder = try TemporaryFolder()
    let first = try TensorBoardWriter(folder: folder.path, wallTime: 1_700_000_000)
    for step in 1...5 { try first.append(sampleRecord(step: step), wallTime: 1_700_000_000.5) }
    let second = try TensorBoardWriter(folder: folder.path, resumingAfter: 3, wallTime: 1_700_000_060)
    for step in 4...6 {
      var record = sampleRecord(step: step, validated: step == 6)
      record.loss = Double(step)
      try second.append(record, wallTime: 1_700_000_061)
    }
    let script = """
      import sys
      from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
      events = EventAccumulator(sys.argv[1]); events.Reload()
      print([(e.step, round(e.value, 4)) for e in events.Scalars("loss/training")])
      print([(e.step, e.value) for e in events.Scalars("loss/validation")])
      print(len(events.Tags()["scalars"]))
      """
    let lines = try python(["-c", script, folder.path]).split(separator: "\n").map(String.init)
    #expect(
      lines == [
        "[(1, 4.24), (2, 4.23), (3, 4.22), (4, 4.0), (5, 5.0), (6, 6.0)]", "[(6, 3.125)]",
        "\(TensorBoardWriter.tags.count)",
      ])
  }
}

private let pythonHasTensorBoard = (try? python(["-c", "import tensorboard"])) != nil

/// The output of a Python program that ended well.
private func python(_ arguments: [String]) throws -> String {
  struct Failed: Error {}
  let process = Process()
  process.executableURL = URL(fileURLWithPath: "/usr/bin/env")
  process.arguments = ["python3"] + arguments
  let output = Pipe()
  process.standardOutput = output
  process.standardError = FileHandle.nullDevice
  try process.run()
  let text = output.fileHandleForReading.readDataToEndOfFile()
  process.waitUntilExit()
  guard process.terminationStatus == 0 else { throw Failed() }
  return String(decoding: text, as: UTF8.self)
}
