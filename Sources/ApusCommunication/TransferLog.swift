import ApusCore

/// A transfer that is over, as its rank saw it. Times are nanoseconds of the system's uptime.
package struct Flight: Sendable, Hashable {
  package var kind: CollectiveKind
  /// What was exchanged: `layer 3 gradients`.
  package var label: String
  /// The group, which is an axis: `data`.
  package var group: String
  /// The whole buffer, see `CollectiveKind`.
  package var payloadBytes: Int
  /// When it was under way, and when it was over on this rank.
  package var start: UInt64
  package var end: UInt64
}

/// What the transfers of one rank on one group have taken. Each stretch of time counts once, as exposed or as
/// hidden, however many transfers are under way in it.
package struct TransferLog {
  package private(set) var counters = CommunicationCounters()
  /// Told of each transfer that is over.
  package var observer: (@Sendable (Flight) -> Void)?
  /// Stretches that are counted already, in order and apart. A transfer is over within few others.
  private var counted: [Range<UInt64>] = []
  private static let remembered = 64

  package init() {}

  /// Notes a transfer of which the rank has waited for the end.
  ///
  /// - Parameters:
  ///   - starting: nanoseconds that the call took which started it.
  ///   - start: when it was under way.
  ///   - end: when it was over.
  ///   - waited: from when to when the rank did nothing but wait for it.
  package mutating func note(
    _ collective: Collective, ranks: Int, group: String, starting: UInt64, start: UInt64, end: UInt64,
    waited: Range<UInt64>
  ) {
    counters.count(collective, ranks: ranks)
    let hiddenEnd = min(end, waited.lowerBound)
    let hidden = start < hiddenEnd ? count(start..<hiddenEnd) : 0
    _ = count(waited)
    counters.add(
      exposed: Double(starting + waited.upperBound - waited.lowerBound) / 1e9, hidden: Double(hidden) / 1e9,
      to: collective.kind)
    observer?(
      Flight(
        kind: collective.kind, label: collective.label, group: group,
        payloadBytes: collective.kind.payloadBytes(
          count: collective.count, type: collective.type, ranks: ranks),
        start: start, end: end))
  }

  /// Marks a stretch as counted and gives the nanoseconds of it that were not.
  private mutating func count(_ stretch: Range<UInt64>) -> UInt64 {
    var fresh = stretch.upperBound - stretch.lowerBound
    var merged = stretch
    var others: [Range<UInt64>] = []
    for range in counted {
      let common = range.clamped(to: stretch)
      fresh -= common.upperBound - common.lowerBound
      if range.upperBound < stretch.lowerBound || stretch.upperBound < range.lowerBound {
        others.append(range)
      } else {
        merged = min(merged.lowerBound, range.lowerBound)..<max(merged.upperBound, range.upperBound)
      }
    }
    counted = (others + [merged]).sorted { $0.lowerBound < $1.lowerBound }.suffix(Self.remembered)
    return fresh
  }
}
