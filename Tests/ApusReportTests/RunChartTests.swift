import ApusCore
import ApusReport
import Foundation
import Testing

@Suite struct RunChartTests {
  private func run(
    _ model: String, nodes: Int = 1, tokens: Double, utilization: Double,
    _ origin: RunPoint.Origin = .measured, record: Int = 0
  ) -> RunPoint {
    RunPoint(
      model: model, nodes: nodes, devices: 8 * nodes, origin: origin, outcome: .finished,
      tokensPerSecond: tokens, utilization: utilization, stepSeconds: 1e6 / tokens, memoryGiB: 40,
      layout: "dp 8", batch: "mbs 1", record: record)
  }

  private func failed(_ model: String, _ origin: RunPoint.Origin = .measured) -> RunPoint {
    RunPoint(
      model: model, nodes: 1, devices: 8, origin: origin, outcome: .failed, reason: "out of memory",
      record: 0)
  }

  private var chart: RunChart {
    let runs = [
      run("1B", tokens: 100_000, utilization: 0.4), run("1B", tokens: 50_000, utilization: 0.2, record: 1),
      run("8B", nodes: 2, tokens: 20_000, utilization: 0.3, .simulated, record: 2), failed("1B"),
      failed("8B", .simulated),
    ]
    return RunChart(
      title: "a & b", source: "x.csv", runs: runs, columns: ["name", "note"],
      records: [["first", "</script>"], ["second", ""], ["third", "x"]])
  }

  /// Domain reference S1: size = 5 + 20 tokens / best, colour = MFU / best, by model; failed runs 5 and grey.
  @Test func marks() {
    let marks = RunMark.marks(chart.runs)
    #expect(marks.map(\.size) == [25, 15, 25, 5, 5])
    #expect(marks.map(\.share) == [1, 0.5, 1, nil, nil])
    #expect(marks[0].color == "rgb(232,137,171)" && marks[1].color == "rgb(206,192,250)")
    #expect(marks[3].color == "rgb(180,180,180)")
    #expect(marks[3].utilizationLabel.isEmpty && marks[3].speedLabel.isEmpty)
  }

  /// The published labels and their cuts.
  @Test func labels() {
    let utilization = [0.45, 0.3, 0.2999, 0.2, 0.1, 0.0999].map(RunMark.label(utilization:))
    #expect(
      utilization == [
        "GPU GOES BRRRRRR!", "GPU GOES BRRRRRR!", "GPU goes brr", "GPU goes brr", "GPU sipping coffee",
        "GPU taking a nap",
      ])
    let speed = [0.1, 0.25, 0.5, 0.842, 0.86, 1].map(RunMark.label(speed:))
    #expect(speed == ["meh...", "moar?", "MOAR!", "MOAR!", "MOARRR!!!!", "MOARRR!!!!"])
  }

  /// Measured runs are circles, simulated ones diamonds; failed ones crosses and plus signs.
  @Test func picture() {
    let svg = RunScatterSVG(chart).description
    // The legend shows one of each kind.
    #expect(svg.components(separatedBy: "<circle").count - 1 == 2 + 1)
    #expect(svg.components(separatedBy: "Z\" fill=").count - 1 == 1 + 1)
    #expect(svg.components(separatedBy: "stroke=\"rgb(180,180,180)\"").count - 1 == 2 + 2)
    #expect(svg.contains("a &amp; b") && svg.contains("out of memory"))
    let heat = BestConfigurationSVG(chart).description
    #expect(heat.contains("40.0 %, 40.0 GiB") && heat.contains("30.0 %, 40.0 GiB"))
    #expect(heat.contains("none fits") && !heat.contains("20.0 %"))
  }

  /// The page carries its data and the library, and no field can end a script.
  @Test func page() throws {
    let page = RunChartPage(chart, library: ChartLibrary(script: "/* library */", path: "")).text
    #expect(!page.contains("http://") && !page.contains("https://"))
    #expect(page.contains("/* library */") && !page.contains("first\",\"</script>"))
    let start = try #require(page.range(of: "id=\"data\">")?.upperBound)
    let end = try #require(page[start...].range(of: "</script>")?.lowerBound)
    var bytes = Array(page[start..<end].utf8)
    let json = try bytes.withUnsafeMutableBytes {
      try JSONValue(parsing: UnsafeRawBufferPointer($0), duplicateKeys: .refused)
    }
    #expect(json["runs"]?.array?.count == 5)
    #expect(json["records"]?.array?.first?.array?.last?.string == "</script>")
    #expect(page.components(separatedBy: "data-group=\"model\"").count - 1 == 2)
    #expect(page.components(separatedBy: "data-group=\"origin\"").count - 1 == 2)
  }

  @Test func pairsOfARecord() {
    let runs = [
      run("1B", tokens: 1e6, utilization: 0.4, record: 5),
      run("1B", tokens: 2e6, utilization: 0.8, .simulated, record: 5),
      run("1B", tokens: 1e6, utilization: 0.4, record: 6),
    ]
    let pairs = RunChart(title: "", source: "", runs: runs, columns: [], records: []).pairs
    #expect(pairs.count == 1 && pairs[0].record == 5 && pairs[0].measured == 1 && pairs[0].simulated == 0.5)
  }

  /// Exactly a tenth is within a tenth; of an even number of errors the median lies between the middle two.
  @Test func accuracy() throws {
    let pairs: [(foreseen: Double, measured: Double)] = [(1.1, 1), (0.8, 1), (2.02, 2), (3, 3)]
    let accuracy = try #require(ForeseenAccuracy(pairs))
    #expect(accuracy.runs == 4 && accuracy.shareWithinTenth == 0.75)
    #expect(abs(accuracy.medianError - 0.055) < 1e-12 && abs(accuracy.bias - 0.005) < 1e-12)
    #expect(accuracy.text.hasPrefix("3 of 4 runs within 10 %"))
    #expect(ForeseenAccuracy([]) == nil)
  }

  /// A mark for each record that has both, in the colour of its layout, where its times say; the rest has none.
  @Test func pairsPicture() {
    var runs: [RunPoint] = []
    for (record, tokens) in [1e6, 2e6, 4e6].enumerated() {
      var real = run("1B", tokens: tokens, utilization: 0.4, record: record)
      real.layout = record == 2 ? "dp 2" : "dp 1"
      var foreseen = real
      foreseen.origin = .simulated
      runs += [real, foreseen]
    }
    runs.append(run("1B", tokens: 1e6, utilization: 0.4, record: 9))
    let svg = RunPairsSVG(RunChart(title: "a & b", source: "", runs: runs, columns: [], records: []))
      .description
    #expect(svg.components(separatedBy: "<circle").count - 1 == 3 + 2)
    #expect(svg.contains("3 of 3 runs within 10 %") && svg.contains("a &amp; b"))
    #expect(svg.contains("dp 1, 2 runs") && svg.contains("dp 2, 1 run,"))
    // On the diagonal: as far from the left as from the bottom.
    let marks = svg.matches(of: /<circle cx="([0-9.]+)" cy="([0-9.]+)" r="4"/)
    #expect(marks.count == 3)
    for mark in marks {
      let (x, y) = (Double(mark.output.1) ?? 0, Double(mark.output.2) ?? 0)
      #expect(abs((x - 74) - (88 + 470 - y)) < 0.02)
    }
  }

  /// A few models have a panel each; many share one.
  @Test func panels() {
    func chart(_ models: Int) -> RunChart {
      RunChart(
        title: "", source: "",
        runs: (0..<models).map { run("model \($0)", tokens: 1000, utilization: 0.1, record: $0) },
        columns: [],
        records: [])
    }
    for (models, panels) in [(1, 1), (2, 2), (6, 6), (7, 1)] {
      let svg = RunScatterSVG(chart(models)).description
      #expect(svg.components(separatedBy: ">devices</text>").count - 1 == panels)
    }
  }
}
