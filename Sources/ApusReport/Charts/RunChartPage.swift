import ApusCore
import Foundation

/// A chart of runs as one page that any browser shows without a network: the scatter of S1 with filters, every field
/// of a run where the reader points, the best configurations (B7), and prediction against measurement.
package struct RunChartPage: Sendable {
  let chart: RunChart
  let library: ChartLibrary

  /// - Parameter library: Chart.js, which the page carries within itself.
  package init(_ chart: RunChart, library: ChartLibrary) {
    self.chart = chart
    self.library = library
  }

  package var text: String {
    OfflinePage.text(
      title: "\(chart.title.escapedForHTML) · Apus",
      style: HTMLReport.style + Self.style,
      main: """
        <header><h1>\(chart.title.escapedForHTML)</h1>
        <p class="subtitle">\(chart.counts.escapedForHTML)</p></header>
        \(filters)
        <section class="card"><h2>Runs <small>size: throughput, colour: utilisation, each over the best run of the same
        model</small></h2>
        <div class="keys">\(keys)</div>
        <div class="frame"><div id="panels"></div><div id="tip" hidden></div></div>
        <p class="soft" id="shown"></p></section>
        <section class="card" id="bestCard"><h2>Best configuration <small>fastest finished run by model and number of
        nodes, within the filters</small></h2><div id="best"></div></section>
        \(pairSection)
        <footer>\(chart.source.escapedForHTML). Written by apus chart; this page loads nothing from a network.</footer>
        """,
      scripts: """
        <script type="application/json" id="data">\(RunChartData(chart).script)</script>
        <script>\(library.script)</script>
        <script>
        \(Self.script)</script>
        """)
  }

  private var filters: String {
    func boxes(_ group: String, _ names: [(value: String, text: String)]) -> String {
      names.map { name in
        """
        <label><input type="checkbox" data-group="\(group)" value="\(name.value.escapedForHTML)" checked>\
        \(name.text.escapedForHTML)</label>
        """
      }.joined()
    }
    let outcomes = RunPoint.Outcome.allCases.filter { outcome in
      chart.runs.contains { $0.outcome == outcome }
    }
    func choice(_ id: String, _ options: [(String, String)]) -> String {
      "<select id=\"\(id)\">" + options.map { "<option value=\"\($0.0)\">\($0.1)</option>" }.joined()
        + "</select>"
    }
    let measures = [
      ("perDevice", "tokens/s and device"), ("utilization", "utilisation, %"), ("memory", "memory, GiB"),
      ("tokens", "tokens/s, all devices"), ("seconds", "step time, s"), ("devices", "devices"),
    ]
    return """
      <section class="card filters">
      <fieldset><legend>Model</legend>\(boxes("model", chart.models.map { ($0, $0) }))</fieldset>
      <fieldset><legend>Nodes</legend>\(boxes("nodes", chart.nodes.map { ("\($0)", "\($0)") }))</fieldset>
      <fieldset><legend>Runs</legend>\(boxes("origin", chart.origins.map { ($0.rawValue, $0.rawValue) }))\
      \(boxes("outcome", outcomes.map { ($0.rawValue, $0 == .failed ? "without result" : $0.rawValue) }))</fieldset>
      <fieldset><legend>Axes</legend><label>across \
      \(choice("across", Array(measures[5...]) + Array(measures[..<5])))</label>\
      <label>up \(choice("up", measures))</label></fieldset>
      </section>
      """
  }

  /// What marks mean, drawn as on the chart.
  private var keys: String {
    let stops = ChartColors.scaleStops.map { ChartColors.scale($0.at) }.joined(separator: ",")
    var parts = [
      "<span><i class=\"scale\" style=\"background:linear-gradient(90deg,\(stops))\"></i>utilisation: 0 to best</span>"
    ]
    let shapes: [(RunPoint.Origin, RunPoint.Outcome, String, String)] = [
      (.measured, .finished, "●", "measured"), (.simulated, .finished, "◆", "simulated"),
      (.measured, .failed, "✕", "measured, no result"), (.simulated, .failed, "+", "simulated, does not fit"),
    ]
    for (origin, outcome, sign, words) in shapes
    where chart.runs.contains(where: { $0.origin == origin && $0.outcome == outcome }) {
      parts.append("<span><b>\(sign)</b> \(words)</span>")
    }
    return parts.joined()
  }

  private var pairSection: String {
    guard let accuracy = chart.accuracy else { return "" }
    return """
      <section class="card"><h2>Simulated against measured <small>\(accuracy.text)</small></h2>
      <div class="chart tall"><canvas id="pairs"></canvas></div></section>
      """
  }

  static let style = """
    .filters { display: flex; flex-wrap: wrap; gap: 8px 26px; }
    fieldset { border: 0; margin: 0; padding: 0; display: flex; flex-wrap: wrap; gap: 2px 12px; align-items: center;
      font-size: 13px; }
    legend { float: left; margin-right: 10px; color: var(--soft); padding: 0; }
    label { white-space: nowrap; } label input { margin: 0 4px 0 0; vertical-align: -1px; }
    select { font: inherit; background: var(--page); color: var(--ink); border: 1px solid var(--edge);
      border-radius: 5px; }
    .frame { position: relative; }
    .chart.scatter { height: 560px; } .several .chart.scatter { height: 360px; }
    .several { display: grid; grid-template-columns: repeat(auto-fit, minmax(440px, 1fr)); gap: 10px 18px; }
    .several > div { min-width: 0; } .several h3 { margin: 0 0 2px; font-size: 13px; }
    .keys { display: flex; flex-wrap: wrap; gap: 4px 20px; font-size: 13px; color: var(--soft); margin-bottom: 8px; }
    .keys .scale { display: inline-block; width: 90px; height: 10px; border-radius: 3px; margin-right: 6px; }
    .soft { color: var(--soft); font-size: 13px; margin: 8px 0 0; }
    #tip { position: absolute; z-index: 2; pointer-events: none; background: var(--card); font-size: 12px;
      border: 1px solid var(--edge); border-radius: 8px; padding: 9px 12px; box-shadow: 0 4px 18px #0003;
      width: max-content; max-width: 660px; }
    #tip h4 { margin: 0 0 5px; font-size: 13px; } #tip p { margin: 0 0 6px; }
    #tip dl { margin: 0; display: grid; grid-template-columns: auto minmax(90px, 1fr) auto minmax(90px, 1fr);
      gap: 0 10px; }
    #tip dt { color: var(--soft); } #tip dd { margin: 0; overflow-wrap: anywhere; }
    .heat { border-collapse: separate; border-spacing: 4px; }
    .heat th { text-align: center; padding: 2px 6px; vertical-align: middle; white-space: nowrap; }
    .heat tr + tr > * { border-top: 0; }
    .heat td { border-radius: 6px; padding: 6px 8px; text-align: center; color: #18212f; line-height: 1.35;
      min-width: 120px; }
    .heat td b { font-size: 14px; } .heat td.none { background: var(--page); color: var(--soft); }
    #best { overflow-x: auto; }

    """
}

/// Everything that the page's script draws.
struct RunChartData: Encodable {
  struct Run: Encodable {
    let model: String
    let nodes, devices, record: Int
    let origin, outcome, reason, layout, batch, color, labels: String
    let tokens, perDevice, utilization, size: Double
    let seconds, memory: Double?
    /// Beside the middle of a column.
    let spread: Double
  }

  let runs: [Run]
  let models: [String]
  let columns: [String]
  let records: [[String]]
  /// Red, green and blue of the colour scale's stops.
  let scale: [[Double]]
  /// Colours of layouts.
  let categories: [String]

  init(_ chart: RunChart) {
    let marks = RunMark.marks(chart.runs)
    runs = chart.runs.enumerated().map { index, run in
      let mark = marks[index]
      return Run(
        model: run.model, nodes: run.nodes, devices: run.devices, record: run.record,
        origin: run.origin.rawValue, outcome: run.outcome.rawValue, reason: run.reason, layout: run.layout,
        batch: run.batch, color: mark.color,
        labels: run.outcome == .finished ? "\(mark.utilizationLabel) \(mark.speedLabel)" : "",
        tokens: run.tokensPerSecond, perDevice: run.tokensPerSecondPerDevice,
        utilization: 100 * run.utilization, size: mark.size, seconds: run.stepSeconds, memory: run.memoryGiB,
        spread: RunChart.spread(index))
    }
    models = chart.models
    columns = chart.columns
    records = chart.records
    categories = (0..<7).map(ChartColors.category)
    scale = ChartColors.scaleStops.map { [$0.at, $0.rgb.0, $0.rgb.1, $0.rgb.2] }
  }

  /// Fit for a `<script>` element.
  var script: String {
    let encoder = JSONEncoder()
    encoder.outputFormatting = .sortedKeys
    encoder.nonConformingFloatEncodingStrategy = .convertToString(
      positiveInfinity: "inf", negativeInfinity: "-inf", nan: "nan")
    guard let json = try? encoder.encode(self) else { return "{}" }
    return String(decoding: json, as: UTF8.self).escapedForScript
  }
}
