import ApusCore
import ApusForesight
import ApusReport

/// A validation as tables.
enum ValidationText {
  static func text(_ summary: ValidationSummary) -> String {
    var lines = "\(summary.rowsScored) rows predicted"
    for skipped in summary.rowsSkipped { lines += "\n\(skipped.rows) skipped: \(skipped.reason)" }
    for unread in summary.measurementsUnread { lines += "\n\(unread.rows) not scored: \(unread.reason)" }
    lines += "\n\(summary.fittedConstants) fitted constants\n\n"
    lines += table(
      summary.sets.sorted { $0.key < $1.key }.map { ($0.key, $0.value) } + [
        ("all", summary.overall.scores)
      ])
    if let error = summary.overall.setMeanError {
      lines += "mean over sets: step time \(percent(error))"
      lines += ", after one factor a set \(percent(summary.overall.setMeanErrorScaled))\n"
      let behind = summary.sets.filter { $0.value.beatsConstantUtilization == false }.keys.sorted()
      lines +=
        behind.isEmpty
        ? "every set beats one constant utilisation, the best chosen with hindsight\n"
        : "no better than one constant utilisation: \(behind.joined(separator: ", "))\n"
    }
    if !summary.tracks.isEmpty {
      lines +=
        "\nother tracks\n" + table(summary.tracks.sorted { $0.key < $1.key }.map { ($0.key, $0.value) })
    }
    if !summary.groups.isEmpty { lines += "\n" + groups(summary) }
    if let foreseen = summary.failedForeseen {
      lines += "\nof \(summary.failedRows) failed runs foreseen as out of memory: \(percent(foreseen))\n"
    }
    if let called = summary.fittedCalledFailed {
      lines += "of \(summary.fittedRows) runs that fitted called out of memory: \(percent(called))\n"
    }
    return lines
  }

  private static func table(_ rows: [(String, SetScores)]) -> String {
    var table = TextTable([
      .text("set"), .number("rows"), .number("step time"), .number("one factor"),
      .number("constant MFU"), .number("bias"),
      .number("Spearman"), .number("memory rows"), .number("memory"), .number("GiB"),
    ])
    for (name, scores) in rows {
      table.add([
        name, "\(scores.rows)", percent(scores.stepTimeMedianError),
        percent(scores.stepTimeMedianErrorScaled), percent(scores.constantUtilizationError),
        percent(scores.stepTimeBias), scores.spearman.map { $0.formatted(decimals: 3) } ?? "",
        "\(scores.memoryRows)", percent(scores.memoryMedianError),
        scores.memoryMedianErrorGiB.map { $0.formatted(decimals: 2) } ?? "",
      ])
    }
    return table.description
  }

  private static func groups(_ summary: ValidationSummary) -> String {
    var table = TextTable([
      .text("group"), .number("gpus"), .number("sequence"), .number("batch"), .number("rows"),
      .number("rank correlation"), .number("regret"),
    ])
    for group in summary.groups {
      table.add([
        "\(group.set) \(group.model)", "\(group.devices)", "\(group.sequenceLength)", "\(group.globalBatch)",
        "\(group.rows)", group.rankCorrelation.map { $0.formatted(decimals: 3) } ?? "", percent(group.regret),
      ])
    }
    return table.description + "median rank correlation "
      + (summary.overall.rankCorrelationMedian.map { $0.formatted(decimals: 3) } ?? "")
      + ", mean regret \(percent(summary.overall.regretMean)), median \(percent(summary.overall.regretMedian))\n"
  }

  private static func percent(_ value: Double?) -> String {
    value?.percent() ?? ""
  }
}
