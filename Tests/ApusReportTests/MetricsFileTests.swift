import ApusReport
import Foundation
import Testing

@Suite struct MetricsFileTests {
  let folder: TemporaryFolder
  var path: String { folder.path + "/metrics.jsonl" }

  init() throws { folder = try TemporaryFolder() }

  private func writeSteps(_ steps: ClosedRange<Int>) throws {
    let file = try MetricsFile(path: path)
    for step in steps { try file.append(sampleRecord(step: step, validated: step.isMultiple(of: 2))) }
  }

  private func append(_ text: String) throws {
    let handle = try #require(FileHandle(forWritingAtPath: path))
    try handle.seekToEnd()
    try handle.write(contentsOf: Data(text.utf8))
    try handle.close()
  }

  @Test func recordsComeBackAsWritten() throws {
    try writeSteps(1...5)
    let expected = (1...5).map { sampleRecord(step: $0, validated: $0.isMultiple(of: 2)) }
    #expect(try MetricsFile.read(path: path) == expected)
  }

  @Test func keysAreTheDocumentedOnesInOrder() throws {
    var record = sampleRecord(step: 7)
    record.modelFLOPsUtilization = nil
    #expect(
      record.jsonLine
        == #"{"step":7,"loss":4.18,"gradient_norm":0.75,"learning_rate":0.0003,"#
        + #""tokens_per_second":12345.6,"tokens_per_second_per_rank":6172.8,"step_seconds":0.332,"#
        + #""forward_seconds":0.1,"backward_seconds":0.2,"optimizer_seconds":0.03,"#
        + #""data_wait_seconds":0.0012,"peak_memory_bytes":3221225472,"tokens_seen":28672,"#
        + #""seconds_left":3725.0}"#)
    let keys = StepRecord.CodingKeys.allCases
    let whole = sampleRecord(step: 1, validated: true)
    #expect(keys.allSatisfy { whole.jsonLine.contains("\"\($0.rawValue)\":") })
    // Communication is a list and has no one number.
    #expect(keys.allSatisfy { whole.value($0) != nil || $0 == .communication })
  }

  @Test func numbersWithoutJSONFormSurvive() throws {
    var record = sampleRecord(step: 1)
    record.loss = .nan
    record.gradientNorm = -.infinity
    let back = try StepRecord(jsonLine: Data(record.jsonLine.utf8))
    #expect(back.loss.isNaN)
    #expect(back.gradientNorm == -.infinity)
    #expect(throws: Never.self) { try JSONSerialization.jsonObject(with: Data(record.jsonLine.utf8)) }
  }

  @Test func lineIsInTheFileBeforeAppendReturns() throws {
    let file = try MetricsFile(path: path)
    try file.append(sampleRecord(step: 1))
    #expect(try MetricsFile.read(path: path).count == 1)
    try file.append(sampleRecord(step: 2))
    #expect(try MetricsFile.read(path: path).count == 2)
  }

  @Test func resumingCutsLaterRecords() throws {
    try writeSteps(1...9)
    do {
      let file = try MetricsFile(path: path, resumingAfter: 6)
      try file.append(sampleRecord(step: 7))
    }
    #expect(try MetricsFile.read(path: path).map(\.step) == [1, 2, 3, 4, 5, 6, 7])
  }

  @Test func resumingWithoutAFileStartsOne() throws {
    do {
      let file = try MetricsFile(path: path, resumingAfter: 3)
      try file.append(sampleRecord(step: 4))
    }
    #expect(try MetricsFile.read(path: path).map(\.step) == [4])
  }

  @Test func aNewRunStartsEmpty() throws {
    try writeSteps(1...9)
    try writeSteps(1...2)
    #expect(try MetricsFile.read(path: path).map(\.step) == [1, 2])
  }

  @Test(arguments: [#"{"step":4,"lo"#, "{\"step\":4,\"lo\n", "\n\n"])
  func tornLastLineIsLeftOut(torn: String) throws {
    try writeSteps(1...3)
    try append(torn)
    #expect(try MetricsFile.read(path: path).map(\.step) == [1, 2, 3])
    do {
      let file = try MetricsFile(path: path, resumingAfter: 3)
      try file.append(sampleRecord(step: 4))
    }
    #expect(try MetricsFile.read(path: path).map(\.step) == [1, 2, 3, 4])
  }

  @Test func lastLineWithoutLineFeedIsKept() throws {
    try writeSteps(1...2)
    try append(sampleRecord(step: 3).jsonLine)
    do {
      let file = try MetricsFile(path: path, resumingAfter: 3)
      try file.append(sampleRecord(step: 4))
    }
    #expect(try MetricsFile.read(path: path).map(\.step) == [1, 2, 3, 4])
  }

  @Test func malformedLineInTheMiddleIsNamed() throws {
    try writeSteps(1...2)
    try append("nonsense\n" + sampleRecord(step: 3).jsonLine + "\n")
    let error = #expect(throws: ReportError.self) { try MetricsFile.read(path: path) }
    guard case .malformedMetrics(_, line: 3, _)? = error else {
      Issue.record("not the line: \(String(describing: error))")
      return
    }
  }

  @Test func missingFolderIsAnError() {
    let error = #expect(throws: ReportError.self) { _ = try MetricsFile(path: "/no/such/folder/m.jsonl") }
    #expect(error?.description.contains("/no/such/folder/m.jsonl: No such file") == true)
  }
}
