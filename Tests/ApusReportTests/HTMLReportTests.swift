import ApusReport
import Foundation
import Testing

@Suite struct HTMLReportTests {
  let hostile = "</script><script>alert('x')</script> & \"q\" <b>"

  private func run(samples: [RunReport.Sample] = []) -> RunReport {
    RunReport(
      name: hostile, status: hostile, started: hostile, model: hostile, parameterCount: 124_439_808,
      command: hostile, configurationYAML: "model: \(hostile)", machine: [.init(hostile, hostile)],
      versions: [.init(hostile, hostile)], referenceLosses: [.init(label: hostile, loss: 3)],
      memory: .init(
        roles: [.init(role: hostile, plannedBytes: 3 << 30, measuredBytes: 2 << 30)],
        overStep: [.init(label: hostile, bytesByRole: [hostile: 1 << 30])], capacityBytes: 8 << 30),
      samples: samples, notes: [hostile])
  }

  private func library(_ script: String = "/* Chart.js v3.9.1 */") -> ChartLibrary {
    ChartLibrary(script: script, path: "chart.js")
  }

  private var records: [StepRecord] { (1...3).map { sampleRecord(step: $0, validated: $0 == 3) } }

  @Test func noTextEndsAnElement() {
    let sample = RunReport.Sample(prompt: hostile, continuation: hostile)
    let page = HTMLReport(run(samples: [sample]), records: records, charts: library()).page
    #expect(!page.contains("<script>alert"))
    #expect(!page.contains("<b>\n") && !page.contains("& \""))
    #expect(page.components(separatedBy: "<script").count == 4)
    #expect(page.components(separatedBy: "</script>").count == 4)
    #expect(
      page.contains("&lt;/script&gt;&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt; &amp; &quot;q&quot;"))
  }

  @Test func dataOfTheChartsIsJSONThatComesBack() throws {
    let page = HTMLReport(run(), records: records, charts: library()).page
    let start = try #require(page.range(of: "id=\"data\">"))
    let end = try #require(page.range(of: "</script>", range: start.upperBound..<page.endIndex))
    let json = Data(page[start.upperBound..<end.lowerBound].utf8)
    let data = try #require(JSONSerialization.jsonObject(with: json) as? [String: Any])
    #expect(data["loss"] as? [[Double]] == [[1, 4.24], [2, 4.23], [3, 4.22]])
    #expect(data["validationLoss"] as? [[Double]] == [[3, 3.125]])
    let memory = try #require(data["memory"] as? [String: Any])
    #expect(memory["labels"] as? [String] == [hostile])
    let roles = try #require(memory["roles"] as? [[String: Any]])
    #expect(roles.first?["bytes"] as? [Int] == [1 << 30])
  }

  @Test func everyChartHasItsPlace() {
    let page = HTMLReport(run(), records: records, charts: library()).page
    for id in [
      "loss", "gradientNorm", "learningRate", "throughput", "stepTime", "bitsPerByte", "utilization",
      "memoryOverStep",
    ] {
      #expect(page.contains("<canvas id=\"\(id)\""))
      #expect(HTMLReport.script.contains("draw(\"\(id)\""), "\(id)")
    }
  }

  @Test func pageLoadsNothing() {
    let page = HTMLReport(run(), records: records, charts: library()).page
    #expect(page.contains("default-src 'none'"))
    #expect(!page.contains("src=\"") && !page.contains("<link") && !page.contains("http://"))
  }

  @Test func tilesSayWhatTheRunReached() {
    let page = HTMLReport(run(), records: records, charts: library()).page
    for text in [
      "124M", "124,439,808", "4.220", "3.125", "0.988", "41.2 %", "12.3k", "3.00 GiB", "1.0 s", "12.3k",
    ] {
      #expect(page.contains(text), "\(text)")
    }
  }

  @Test func withoutChartLibraryThePageNamesThePackage() {
    let page = HTMLReport(run(), records: records, charts: nil).page
    #expect(page.contains("apt-get install libjs-chart.js"))
    #expect(!page.contains("<canvas") && !page.contains("<script"))
    #expect(page.contains("4.220"))
  }

  @Test func aRunWithoutStepsHasAPage() {
    #expect(HTMLReport(run(), records: [], charts: library()).page.contains("No step has finished yet"))
  }

  @Test func aLossThatIsNotFiniteIsSaidAndNotDrawn() {
    var broken = records
    broken[1].loss = .nan
    let page = HTMLReport(run(), records: broken, charts: library()).page
    #expect(page.contains("not finite in 1 step, first in step 2"))
    #expect(page.contains("\"loss\":[[1,4.24],[3,4.22]]"))
  }

  @Test func fileIsPutInPlaceWhole() throws {
    let folder = try TemporaryFolder()
    let report = HTMLReport(run(), records: records, charts: library())
    try report.write(to: folder.path + "/report.html")
    try report.write(to: folder.path + "/report.html")
    #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path) == ["report.html"])
    let text = try String(contentsOfFile: folder.path + "/report.html", encoding: .utf8)
    #expect(text == report.page)
  }

  @Test func escapes() {
    #expect("a<b>&\"'\u{0}\n".escapedForHTML == "a&lt;b&gt;&amp;&quot;&#39;\u{FFFD}\n")
    #expect("[\"</script>&\u{2028}\"]".escapedForScript == #"["\u003c/script\u003e\u0026\u2028"]"#)
  }

  @Test func shortNumbers() {
    let texts = [0, 12.34, 999.6, 1000, 12_345, 124_439_808, 8.03e9, 405e9, 1.5e13].map(HTMLReport.short)
    #expect(texts == ["0.0", "12.3", "1.00k", "1.00k", "12.3k", "124M", "8.03B", "405B", "15.0T"])
  }
}

@Suite struct ChartLibraryTests {
  @Test func takesTheFirstThatIsNewEnough() throws {
    let folder = try TemporaryFolder()
    let texts = [
      "a.js": "/*!\n * Chart.js v2.9.4\n */", "b.js": "/*!\n * Chart.js v3.9.1\n */ \"</script>\"",
      "c.js": "/*!\n * Chart.js v3.9.1\n */ x", "d.js": "/*!\n * Chart.js v4.4.0\n */ y",
    ]
    for (name, text) in texts {
      try text.write(toFile: folder.path + "/" + name, atomically: true, encoding: .utf8)
    }
    let paths = ["none", "a.js", "b.js", "c.js", "d.js"].map { folder.path + "/" + $0 }
    #expect(try ChartLibrary.find(in: paths).path == paths[3])
  }

  @Test func absenceNamesThePackage() {
    let error = #expect(throws: ReportError.self) { try ChartLibrary.find(in: ["/nowhere/chart.js"]) }
    #expect(error?.description.contains("apt-get install libjs-chart.js") == true)
  }
}

@Suite struct ChartPointsTests {
  private func series(_ values: [Double]) -> ChartPoints {
    ChartPoints(
      values.enumerated().map { index, value in
        var record = sampleRecord(step: index + 1)
        record.loss = value
        return record
      }, .loss)
  }

  @Test func thinningKeepsSpikes() {
    var values = (0..<10_000).map { 5 - Double($0) / 10_000 }
    values[4321] = 99
    values[8765] = -7
    let thin = series(values).keepingExtremes(atMost: 200)
    #expect(thin.points.count <= 200)
    #expect(thin.points.map(\.y).max() == 99 && thin.points.map(\.y).min() == -7)
    #expect(thin.points.first { $0.y == 99 }?.x == 4322)
    #expect(zip(thin.points, thin.points.dropFirst()).allSatisfy { $0.x < $1.x })
  }

  @Test func shortSeriesStayAsTheyAre() {
    #expect(series([3, 2, 1]).keepingExtremes(atMost: 3).points.map(\.y) == [3, 2, 1])
    #expect(series([3, 2, 1]).averaged(to: 3).points.map(\.y) == [3, 2, 1])
    #expect(series([]).smoothed(over: 5).points.isEmpty)
  }

  @Test func averagesOfStretches() {
    #expect(series([1, 3, 5, 7, 9]).averaged(to: 2).points == [.init(x: 2, y: 2), .init(x: 5, y: 7)])
  }

  @Test func smoothingOfAConstantIsTheConstant() {
    let smooth = series([Double](repeating: 4, count: 50)).smoothed(over: 10)
    #expect(smooth.points.allSatisfy { abs($0.y - 4) < 1e-12 })
    #expect(series([1, 2]).smoothed(over: 1).points.map(\.y) == [1, 2])
  }
}
