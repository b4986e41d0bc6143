import ApusCore
import Foundation

/// One page that shows a profile on any browser, without a network.
package struct ProfilePage: Sendable {
  private let report: ProfileReport
  private let charts: ChartLibrary?
  private let tables: ProfileTables

  /// - Parameter charts: Chart.js, from `ChartLibrary.find`; `nil` gives a page that says in place of the charts
  ///   which package to install.
  package init(_ report: ProfileReport, charts: ChartLibrary?) {
    self.report = report
    self.charts = charts
    tables = ProfileTables(report)
  }

  package var text: String {
    OfflinePage.text(
      title: "\(report.title.escapedForHTML), one step · Apus",
      style: HTMLReport.style + Self.style,
      main: """
        <header><h1>\(report.title.escapedForHTML)</h1>
        <p class="subtitle">\(report.batch.escapedForHTML), \
        \(report.arithmetic.stepSeconds.formatted(decimals: 3)) s a step</p></header>
        \(challenges)
        \(memorySection)
        \(timeSection)
        \(factSection)
        <footer>Written by apus profile; this page loads nothing from a network. trace.json beside it opens in
        Perfetto.</footer>
        """,
      scripts: scripts)
  }

  // MARK: Sections

  private var challenges: String {
    let (memory, arithmetic) = (report.memory, report.arithmetic)
    let exposed = report.communication.reduce(0) { $0 + $1.exposedSeconds }
    let cards = [
      card(
        "Memory against capacity", Double(memory.plannedBytes) / Double(memory.capacityBytes), "s0",
        "\(ByteCount(memory.plannedBytes)) of \(ByteCount(memory.capacityBytes))", tables.challenges[0].value),
      card(
        "Arithmetic against peak", arithmetic.modelUtilization, "s2",
        arithmetic.modelUtilization.percent() + " of peak", tables.challenges[1].value),
      card(
        "Communication exposed", exposed / arithmetic.stepSeconds, "s1",
        (exposed / arithmetic.stepSeconds).percent() + " of the step", tables.challenges[2].value),
    ]
    return "<section class=\"challenges\">\n" + cards.joined(separator: "\n") + "\n</section>"
  }

  private func card(
    _ title: String, _ share: Double, _ color: String, _ value: String, _ detail: String
  ) -> String {
    let width = (100 * min(1, max(0, share))).formatted(decimals: 2)
    return """
      <div class="tile"><h3>\(title)</h3><p>\(value.escapedForHTML)</p>
      <div class="bar"><i class="\(color)" style="width:\(width)%"></i></div>
      <small>\(detail.escapedForHTML)</small></div>
      """
  }

  private var memorySection: String {
    let chunk = ByteCount(report.memory.chunkBytes)
    let measured =
      report.memory.measured == nil
      ? "This system does not tell which pages are accessed: the chart shows the prediction alone."
      : "Areas: predicted from the plan's lifetimes. Lines: measured outside the plan, by protecting the arena's pages "
        + "before each instruction and noting which are read and written, in chunks of \(chunk); a chunk is in use from "
        + "the access that wrote it to the last that reads it. Step 1 touches its memory for the first time; the "
        + "dashed line is what an allocator that grows would hold by then. Times are those of the median timed step."
    return """
      <section class="card"><h2>Memory over step 1 and a later step<small>GiB, by milliseconds</small></h2>
      \(canvas("memory", tall: true))
      <p class="caption">\(measured.escapedForHTML)</p></section>
      """
  }

  private var timeSection: String {
    let head = ProfileTables.columns.map { column in
      column.isText ? "<th>\(column.title)</th>" : "<td>\(column.title)</td>"
    }.joined()
    let rows = tables.rows.map { row in
      let cells = zip(ProfileTables.columns, row).map { column, cell in
        column.isText ? "<th>\(cell.escapedForHTML)</th>" : "<td>\(cell.escapedForHTML)</td>"
      }
      return "<tr>\(cells.joined())</tr>"
    }
    return """
      <section class="card"><h2>Where the step's time goes<small>milliseconds, against each operation's own \
      bound</small></h2>
      \(canvas("operations", tall: true))
      <div class="wide"><table class="operations"><tr>\(head)</tr>\(rows.joined())</table></div>
      <p class="caption">Bound: what alone would take longer, the FLOPs at the measured peak or the bytes at the
      measured bandwidth, as if nothing were cached between instructions; more than 100 % where it is.</p></section>
      """
  }

  private func canvas(_ id: String, tall: Bool) -> String {
    guard charts != nil else {
      return "<p class=\"note bad\">The charts need Chart.js 3 or later: "
        + "<code>apt-get install libjs-chart.js</code>, then profile again.</p>"
    }
    return "<div class=\"chart\(tall ? " tall" : "")\"><canvas id=\"\(id)\"></canvas></div>"
  }

  private var factSection: String {
    let rows = report.facts.map {
      "<tr><th>\($0.name.escapedForHTML)</th><td>\($0.value.escapedForHTML)</td></tr>"
    }
    return "<section class=\"card\"><h2>What was measured</h2><table>\(rows.joined())</table></section>"
  }

  private var scripts: String {
    guard let charts else { return "" }
    let encoder = JSONEncoder()
    encoder.outputFormatting = .sortedKeys
    encoder.nonConformingFloatEncodingStrategy = .convertToString(
      positiveInfinity: "inf", negativeInfinity: "-inf", nan: "nan")
    let data = (try? encoder.encode(report)).map { String(decoding: $0, as: UTF8.self) } ?? "{}"
    return """
      <script type="application/json" id="data">\(data.escapedForScript)</script>
      <script>\(charts.script)</script>
      <script>
      \(Self.script)</script>
      """
  }

  private static let style = """
    .challenges { display: grid; grid-template-columns: repeat(auto-fit, minmax(260px, 1fr)); gap: 12px; }
    .bar { height: 8px; border-radius: 4px; overflow: hidden; background: var(--page); margin: 8px 0; }
    .bar i { display: block; height: 100%; }
    .caption { margin: 12px 0 0; font-size: 12.5px; color: var(--soft); }
    .chart.tall { height: 400px; }
    .wide { overflow-x: auto; margin-top: 14px; }
    .operations { font-variant-numeric: tabular-nums; white-space: nowrap; }
    .operations td { text-align: right; padding-left: 16px; }
    .operations th { color: var(--ink); padding-left: 16px; }
    .operations th:first-child { padding-left: 0; }
    .operations tr:first-child > * { color: var(--soft); }
    .operations tr:last-child > * { font-weight: 600; }

    """
}
