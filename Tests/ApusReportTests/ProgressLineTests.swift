import ApusReport
import Foundation
import Testing

@Suite struct ProgressLineTests {
  private func withoutCodes(_ text: String) -> String {
    text.replacing(/\u{1B}\[[0-9]*[mK]/, with: "")
  }

  @Test func stepLineHasItsColumns() {
    #expect(
      StepLine(stepCount: 5000).text(sampleRecord(step: 12))
        == "step   12/5000  loss   4.1300  grad norm   0.750  lr 3.00e-04     12,346 tok/s"
        + "      6,173 tok/s/rank  MFU 41.2 %  step time 332.0 ms  peak memory   3.00 GiB"
        + "  data wait   1.2 ms  left  1h 02m")
  }

  @Test func columnsStandUnderEachOther() {
    let line = StepLine(stepCount: 5000)
    var other = sampleRecord(step: 4999)
    other.loss = 11.0321
    other.gradientNorm = 123_456
    other.tokensPerSecond = 3.2
    other.tokensPerSecondPerRank = 1_234_567
    other.stepSeconds = 123.4
    other.peakMemoryBytes = 640 << 30
    other.dataWaitSeconds = 12
    other.secondsLeft = .nan
    other.modelFLOPsUtilization = 0.05
    let texts = [line.text(sampleRecord(step: 1)), line.text(other)]
    #expect(texts[0].count == texts[1].count)
    for word in ["loss", "grad norm", "lr", "MFU", "step time", "peak memory", "data wait", "left"] {
      let places = texts.map { $0.range(of: word)?.lowerBound.utf16Offset(in: $0) }
      #expect(places[0] != nil && places[0] == places[1], "\(word)")
    }
  }

  @Test func unknownUtilizationIsLeftOut() {
    var record = sampleRecord(step: 1)
    record.modelFLOPsUtilization = nil
    #expect(!StepLine(stepCount: 10).text(record).contains("MFU"))
  }

  @Test func pipeGetsPlainLines() {
    let text = captured { descriptor in
      var progress = ProgressLine(descriptor: descriptor, stepCount: 10, logEvery: 4)
      for step in 1...10 { progress.show(sampleRecord(step: step, validated: step == 6)) }
      progress.note("checkpoint written")
      progress.finish()
    }
    let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
    #expect(!text.contains("\u{1B}") && !text.contains("\r"))
    #expect(lines.last == "")
    #expect(
      lines.dropLast().map { String($0.prefix(24)) } == [
        "step  1/10  loss   4.240", "step  4/10  loss   4.210", "step  6/10  loss   4.190",
        "step  6/10  validation l", "step  8/10  loss   4.170", "step 10/10  loss   4.150",
        "checkpoint written",
      ])
  }

  @Test func eachPlainLineIsThereAtOnce() throws {
    let pipe = Pipe()
    var progress = ProgressLine(descriptor: pipe.fileHandleForWriting.fileDescriptor, stepCount: 3)
    for step in 1...3 {
      progress.show(sampleRecord(step: step))
      let text = String(decoding: pipe.fileHandleForReading.availableData, as: UTF8.self)
      #expect(text.hasPrefix("step \(step)/3 ") && text.hasSuffix("\n"))
    }
  }

  @Test func terminalRedrawsOneLine() {
    let text = captured { descriptor in
      var progress = ProgressLine(
        descriptor: descriptor, stepCount: 4, display: .terminal(columnCount: 100), redrawInterval: .zero)
      for step in 1...4 { progress.show(sampleRecord(step: step, validated: step == 2)) }
      progress.note("checkpoint written")
      progress.finish()
    }
    let lines = text.split(separator: "\n", omittingEmptySubsequences: false).map { line in
      // What remains visible: after the last carriage return.
      withoutCodes(String(line.split(separator: "\r").last ?? ""))
    }
    #expect(lines.count == 5)
    #expect(lines[0].hasPrefix("step 2/4  loss"))
    #expect(lines[1] == "step 2/4  validation loss 3.1250  bits per byte 0.9876")
    #expect(lines[2] == "checkpoint written")
    #expect(lines[3].hasPrefix("step 4/4  loss"))
    #expect(lines[4] == "")
    #expect(text.contains("\r[\u{1B}[32m=") && text.contains(" 25% 1/4  loss 4.2400"))
  }

  @Test(arguments: [200, 120, 80, 60, 40, 20, 10, 4, 1]) func barFitsTheWidth(columnCount: Int) {
    let bar = ProgressBar(line: StepLine(stepCount: 5000))
    for step in [1, 2500, 5000] {
      let text = withoutCodes(bar.text(sampleRecord(step: step), columnCount: columnCount))
      #expect(text.count <= columnCount && !text.isEmpty, "\(text)")
    }
    if columnCount >= 60 {
      #expect(bar.text(sampleRecord(step: 5), columnCount: columnCount).contains("loss 4.2000"))
    }
  }

  @Test func fastStepsAreNotAllDrawn() {
    let text = captured { descriptor in
      var progress = ProgressLine(
        descriptor: descriptor, stepCount: 1000, display: .terminal(columnCount: 80),
        redrawInterval: .seconds(3600))
      for step in 1...1000 { progress.show(sampleRecord(step: step)) }
    }
    #expect(text.count(where: { $0 == "\r" }) == 2)
  }

  @Test func aReaderThatLeavesDoesNotEndTheRun() throws {
    let previous = signal(SIGPIPE, SIG_DFL)
    defer { signal(SIGPIPE, previous) }
    let pipe = Pipe()
    var progress = ProgressLine(descriptor: pipe.fileHandleForWriting.fileDescriptor, stepCount: 3)
    progress.show(sampleRecord(step: 1))
    #expect(progress.failure == nil)
    try pipe.fileHandleForReading.close()
    progress.show(sampleRecord(step: 2))
    #expect(progress.failure == EPIPE)
    progress.show(sampleRecord(step: 3))
    progress.note("still here")
    progress.finish()
  }

  @Test func aFullDiskDoesNotEndTheRun() throws {
    let full = try #require(FileHandle(forWritingAtPath: "/dev/full"))
    var progress = ProgressLine(descriptor: full.fileDescriptor, stepCount: 3)
    progress.show(sampleRecord(step: 1))
    #expect(progress.failure == ENOSPC)
  }

  @Test func pipesAreNoTerminals() {
    #expect(Display.detect(descriptor: Pipe().fileHandleForWriting.fileDescriptor) == .plain)
  }

  @Test func terminalsTellTheirWidth() {
    var controller: Int32 = -1
    var terminal: Int32 = -1
    var size = winsize(ws_row: 24, ws_col: 132, ws_xpixel: 0, ws_ypixel: 0)
    guard openpty(&controller, &terminal, nil, nil, &size) == 0 else {
      Issue.record("no pseudo-terminal: errno \(errno)")
      return
    }
    #expect(Display.detect(descriptor: terminal) == .terminal(columnCount: 132))
    close(terminal)
    close(controller)
  }

  @Test func durations() {
    let texts = [0.44, 9.96, 59.6, 185, 3600, 7_620, 86_400, 1_051_200, -1, .nan].map(\.durationText)
    #expect(
      texts == ["0.4 s", "10 s", "1m 00s", "3m 05s", "1h 00m", "2h 07m", "1d 00h", "12d 04h", "-", "-"])
  }
}
