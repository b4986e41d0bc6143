import Foundation

/// Writes `report.html`: one file that shows a run on any browser, without a network.
package struct HTMLReport: Sendable {
  let run: RunReport
  let records: [StepRecord]
  let charts: ChartLibrary?

  /// - Parameters:
  ///   - records: the run's metrics, in order.
  ///   - charts: Chart.js, from `ChartLibrary.find`; `nil` gives a page that says in place of the charts
  ///     which package to install.
  package init(_ run: RunReport, records: [StepRecord], charts: ChartLibrary?) {
    self.run = run
    self.records = records
    self.charts = charts
  }

  /// Puts the page in place whole: a reader never finds half of it.
  package func write(to path: String) throws(ReportError) {
    let aside = path + ".partial"
    do {
      let file = try AppendedFile.open(path: aside, keeping: 0)
      try file.append(Array(page.utf8))
    }
    guard rename(aside, path) == 0 else { throw .system(action: "write", path: path, code: errno) }
  }

  /// The page's text.
  package var page: String {
    OfflinePage.text(
      title: "\(run.name.escapedForHTML) · Apus",
      style: Self.style,
      main: """
        \(header)
        \(tiles)
        \(chartSections)
        \(memorySection)
        \(sampleSection)
        \(factSection)
        <footer>Written by Apus from metrics.jsonl; this page loads nothing from a network.</footer>
        """,
      scripts: scripts)
  }

  private var header: String {
    let notes = run.notes.map { "<p class=\"note\">\($0.escapedForHTML)</p>" }.joined(separator: "\n")
    return """
      <header>
      <h1>\(run.name.escapedForHTML)</h1>
      <p class="subtitle">\(run.model.escapedForHTML)</p>
      <p class="status"><b>\(run.status.escapedForHTML)</b> <span>started \
      \(run.started.escapedForHTML)</span></p>
      </header>
      \(nonFiniteNote)\(notes)
      """
  }

  private var nonFiniteNote: String {
    let steps = records.filter { !$0.loss.isFinite || !$0.gradientNorm.isFinite }.map(\.step)
    guard let first = steps.first else { return "" }
    return """
      <p class="note bad">Loss or gradient norm was not finite in \(steps.count) \
      \(steps.count == 1 ? "step" : "steps"), first in step \(first).</p>\n
      """
  }

  private var scripts: String {
    guard let charts, !records.isEmpty || run.memory != nil else { return "" }
    return """
      <script type="application/json" id="data">\(ChartData(run, records).script)</script>
      <script>\(charts.script)</script>
      <script>
      \(Self.script)</script>
      """
  }
}
