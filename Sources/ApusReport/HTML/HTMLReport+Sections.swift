import ApusCore

extension HTMLReport {
  /// Places for the charts, or the word why there are none.
  var chartSections: String {
    guard !records.isEmpty else { return "<p class=\"note\">No step has finished yet.</p>" }
    guard charts != nil else {
      return "<p class=\"note bad\">The charts need Chart.js 3 or later: "
        + "<code>apt-get install libjs-chart.js</code>, then write the report again.</p>"
    }
    var small = [
      Self.card("gradientNorm", "Gradient norm", "before clipping"),
      Self.card("learningRate", "Learning rate", ""),
      Self.card("throughput", "Throughput", "tokens per second"),
      Self.card("stepTime", "Step time by phase", "seconds, averaged over neighbouring steps"),
    ]
    if records.contains(where: { $0.validationBitsPerByte != nil }) {
      small.append(Self.card("bitsPerByte", "Bits per byte", "validation"))
    }
    if records.contains(where: { $0.modelFLOPsUtilization != nil }) {
      small.append(Self.card("utilization", "Model FLOPs utilisation", "percent of peak"))
    }
    let loss = Self.card(
      "loss", "Loss", "nats per token", isTall: true,
      control: "<button id=\"logarithmic\" aria-pressed=\"false\">log axes</button>")
    return loss + "\n<div class=\"grid\">\n" + small.joined(separator: "\n") + "\n</div>"
  }

  /// Planned and measured bytes as bars, the table behind them, and memory over a step.
  var memorySection: String {
    guard let memory = run.memory, !memory.roles.isEmpty else { return "" }
    let planned = memory.roles.map(\.plannedBytes)
    let measured = memory.roles.map { $0.measuredBytes ?? 0 }
    let isMeasured = memory.roles.contains { $0.measuredBytes != nil }
    let full = max(1, memory.capacityBytes ?? 0, planned.reduce(0, +), measured.reduce(0, +))
    var bars = Self.bar("planned", planned, of: full)
    if isMeasured { bars += Self.bar("measured", measured, of: full) }
    let capacity = memory.capacityBytes.map { "of \(ByteCount($0)) a rank" } ?? "of a rank"
    let overStep =
      memory.overStep.isEmpty || charts == nil
      ? "" : Self.card("memoryOverStep", "Memory over a step", "GiB by role")
    return """
      <section class="card"><h2>Memory by role <small>\(capacity)</small></h2>
      \(bars)
      \(Self.table(of: memory, isMeasured: isMeasured))
      </section>
      \(overStep)
      """
  }

  /// What the model wrote.
  var sampleSection: String {
    guard !run.samples.isEmpty else { return "" }
    let texts = run.samples.map { sample in
      "<blockquote><b>\(sample.prompt.escapedForHTML)</b>\(sample.continuation.escapedForHTML)</blockquote>"
    }
    return "<section class=\"card\"><h2>Sample <small>prompt in bold</small></h2>\n"
      + texts.joined(separator: "\n") + "\n</section>"
  }

  /// How to do the same again: command, machine, versions, configuration.
  var factSection: String {
    """
    <section class="card"><h2>Command</h2><pre>\(run.command.escapedForHTML)</pre></section>
    <div class="grid">
    \(Self.facts("Machine", run.machine))
    \(Self.facts("Versions", run.versions))
    </div>
    <details class="card"><summary>Configuration, resolved</summary>
    <pre>\(run.configurationYAML.escapedForHTML)</pre></details>
    """
  }

  private static func card(
    _ id: String, _ title: String, _ detail: String, isTall: Bool = false, control: String = ""
  ) -> String {
    """
    <section class="card"><h2>\(title) <small>\(detail)</small>\(control)</h2>
    <div class="chart\(isTall ? " tall" : "")">
    <canvas id="\(id)" role="img" aria-label="\(title)"></canvas>
    </div>
    </section>
    """
  }

  private static func bar(_ label: String, _ bytes: [Int], of full: Int) -> String {
    let parts = bytes.enumerated().filter { $0.element > 0 }.map { index, count in
      let percent = (Double(count) / Double(full) * 100).formatted(decimals: 3)
      return "<i class=\"s\(index % 7)\" style=\"width:\(percent)%\"></i>"
    }
    return "<div class=\"stack\"><span>\(label)</span><div>\(parts.joined())</div></div>\n"
  }

  private static func table(of memory: RunReport.Memory, isMeasured: Bool) -> String {
    func row(_ mark: String, _ name: String, _ planned: Int, _ measured: Int?) -> String {
      let last = isMeasured ? "<td>\(measured.map { ByteCount($0).description } ?? "")</td>" : ""
      return "<tr><th>\(mark)\(name.escapedForHTML)</th><td>\(ByteCount(planned))</td>\(last)</tr>"
    }
    let rows = memory.roles.enumerated().map { index, role in
      row("<i class=\"s\(index % 7)\"></i>", role.role, role.plannedBytes, role.measuredBytes)
    }
    let total = row(
      "", "together", memory.roles.reduce(0) { $0 + $1.plannedBytes },
      isMeasured ? memory.roles.reduce(0) { $0 + ($1.measuredBytes ?? 0) } : nil)
    return "<table class=\"roles\"><tr><th></th><td>planned</td>\(isMeasured ? "<td>measured</td>" : "")</tr>"
      + rows.joined() + total + "</table>"
  }

  private static func facts(_ title: String, _ facts: [RunReport.Fact]) -> String {
    guard !facts.isEmpty else { return "" }
    let rows = facts.map { "<tr><th>\($0.name.escapedForHTML)</th><td>\($0.value.escapedForHTML)</td></tr>" }
    return "<section class=\"card\"><h2>\(title)</h2><table>\(rows.joined())</table></section>"
  }
}
