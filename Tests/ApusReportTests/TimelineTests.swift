import ApusCore
import Foundation
import Testing

import ApusReport

@Suite struct TimelineTests {
  /// Two ranks; the second starts later.
  private let timeline = Timeline(
    title: "a < b", unit: .abstract, kinds: ["forward", "backward"],
    lanes: [
      Timeline.Lane(
        group: "device 0",
        bars: [
          Timeline.Bar(start: 0, end: 1, kind: 0, label: "F0"),
          Timeline.Bar(start: 3, end: 5, kind: 1, label: "B0", detail: "the \"last\""),
        ]),
      Timeline.Lane(
        group: "device 1", bars: [Timeline.Bar(start: 1, end: 3, kind: 1, label: "B0")]),
    ])

  @Test("Text: a label, a line for the rest of its time, blanks for waiting")
  func text() {
    #expect(GanttText(timeline, width: 80).description == "device 0  F0       B0───\ndevice 1     B0───\n")
    // Too narrow for labels: what is left is the kind's letter.
    let narrow = GanttText(timeline, width: 10).description.split(separator: "\n")
    #expect(narrow.allSatisfy { $0.count <= "device 0  ".count + 10 } && narrow[0].contains("F"))
  }

  @Test("The picture has a bar for each stretch, at its place, with its words escaped")
  func picture() throws {
    let svg = GanttSVG(timeline).description
    #expect(svg.components(separatedBy: "<g>").count == 4)
    #expect(svg.contains("a &lt; b") && !svg.contains("a < b"))
    #expect(svg.contains("B0: 3 to 5; the &quot;last&quot;"))
    // 1000 pixels for 5 units, less the gap of a pixel.
    #expect(svg.contains("width=\"199\"") && svg.contains("width=\"399\""))
  }

  @Test("The trace is JSON with a process a rank, and its lanes sum to the bars")
  func trace() throws {
    let text = TimelineTrace(timeline).description
    var bytes = Array(text.utf8)
    let root = try bytes.withUnsafeMutableBytes {
      try JSONValue(parsing: UnsafeRawBufferPointer($0), duplicateKeys: .refused)
    }
    let events = try #require(root["traceEvents"]?.array)
    let spans = events.filter { $0["ph"]?.string == "X" }
    #expect(spans.count == 3)
    func sum(_ rank: Int) -> Double {
      spans.filter { $0["pid"]?.integer == rank }.compactMap { $0["dur"]?.double }.reduce(0, +)
    }
    #expect(sum(0) == 3000 && sum(1) == 2000)
    let names = events.filter { $0["name"]?.string == "process_name" }
    #expect(names.compactMap { $0["args"]?["name"]?.string } == ["device 0", "device 1"])
  }

  @Test("Ticks are round and inside")
  func ticks() {
    #expect(Ticks.round(from: 0, to: 33, about: 8) == [0, 5, 10, 15, 20, 25, 30])
    #expect(Ticks.powers(of: 2, from: 1, to: 64) == [1, 2, 4, 8, 16, 32, 64])
  }

  @Test("The scale's stops are the published colours")
  func colours() {
    #expect(ChartColors.scale(0) == "rgb(78,165,183)")
    #expect(ChartColors.scale(0.5) == "rgb(206,192,250)")
    #expect(ChartColors.scale(1) == "rgb(232,137,171)")
    #expect(ChartColors.scale(0.25) == "rgb(142,179,217)")
  }
}
