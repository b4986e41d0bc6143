/// What a rank says of itself several times a second.
package struct RankReport: Hashable, Sendable {
  package var activity = RankActivity()
  /// Collectives that it has begun to wait for.
  package var begun = 0
  /// What keeps it away from collectives; empty if nothing.
  package var errand = ""
  /// Seconds since any of this changed.
  package var age = 0.0

  package init(activity: RankActivity = RankActivity(), begun: Int = 0, errand: String = "", age: Double = 0)
  {
    self.activity = activity
    self.begun = begun
    self.errand = errand
    self.age = age
  }

  var isWaiting: Bool { !activity.hasLeft }
}

/// A message between a rank and the first one: a line of text.
package enum LivenessMessage: Hashable, Sendable {
  /// Who connects, with the run's secret.
  case hello(rank: Int, secret: String)
  case report(RankReport)
  /// The rank has finished and will say no more.
  case goodbye
  /// The rank cannot go on.
  case failure(String)
  /// The run is over; everybody ends.
  case verdict(String)

  /// The line, with its end.
  package var line: String {
    switch self {
    case .hello(let rank, let secret): return "H\t\(rank)\t\(secret)\n"
    case .report(let report):
      let activity = report.activity
      return "R\t\(activity.step)\t\(report.begun)\t\(activity.hasLeft ? 1 : 0)\t\(report.age)"
        + "\t\(Self.field(report.errand))\t\(Self.field(activity.collective))\n"
    case .goodbye: return "G\n"
    case .failure(let reason): return "F\t\(Self.field(reason))\n"
    case .verdict(let text): return "V\t\(Self.field(text))\n"
    }
  }

  /// nil for anything else than a line made by `line`, without its end.
  package init?(line: String) {
    let fields = line.split(separator: "\t" as Character, omittingEmptySubsequences: false).map(String.init)
    switch (fields[0], fields.count) {
    case ("H", 3):
      guard let rank = Int(fields[1]) else { return nil }
      self = .hello(rank: rank, secret: fields[2])
    case ("R", 7):
      guard let step = Int(fields[1]), let begun = Int(fields[2]), let age = Double(fields[4]) else {
        return nil
      }
      let activity = RankActivity(step: step, collective: fields[6], hasLeft: fields[3] == "1")
      self = .report(RankReport(activity: activity, begun: begun, errand: fields[5], age: age))
    case ("G", 1): self = .goodbye
    case ("F", 2): self = .failure(fields[1])
    case ("V", 2): self = .verdict(fields[1])
    default: return nil
    }
  }

  /// One line without tabs, not longer than a message may be.
  private static func field(_ text: String) -> String {
    String(text.prefix(1_000)).split(whereSeparator: { "\n\r\t".contains($0) }).joined(separator: " ")
  }
}
