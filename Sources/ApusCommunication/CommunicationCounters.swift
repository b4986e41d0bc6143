import ApusCore

/// Calls, bytes and seconds of one rank on one group, by primitive.
package struct CommunicationCounters: Sendable, Hashable {
  /// The figures of one primitive.
  package struct Entry: Sendable, Hashable {
    package var calls = 0
    /// Whole buffers, see `CollectiveKind`.
    package var payloadBytes = 0
    /// What a rank sends by the ring formula, see `CollectiveKind`.
    package var ringBytes = 0.0
    /// Seconds in which the calling thread did nothing else: starting, waiting and, between threads of one
    /// process, copying and adding.
    package var exposedSeconds = 0.0
    /// Seconds in which a transfer was under way while the calling thread did other work.
    package var hiddenSeconds = 0.0

    package init() {}

    package static func + (a: Entry, b: Entry) -> Entry {
      var sum = a
      sum.calls += b.calls
      sum.payloadBytes += b.payloadBytes
      sum.ringBytes += b.ringBytes
      sum.exposedSeconds += b.exposedSeconds
      sum.hiddenSeconds += b.hiddenSeconds
      return sum
    }

    package static func - (a: Entry, b: Entry) -> Entry {
      var difference = a
      difference.calls -= b.calls
      difference.payloadBytes -= b.payloadBytes
      difference.ringBytes -= b.ringBytes
      difference.exposedSeconds -= b.exposedSeconds
      difference.hiddenSeconds -= b.hiddenSeconds
      return difference
    }
  }

  package private(set) var byKind: [CollectiveKind: Entry] = [:]

  package init() {}

  package subscript(_ kind: CollectiveKind) -> Entry { byKind[kind] ?? Entry() }

  /// All primitives together.
  package var total: Entry { byKind.values.reduce(Entry(), +) }

  /// Counts a call of `collective` in a group of `ranks`. In a group of one nothing is exchanged and nothing
  /// is counted.
  package mutating func count(_ collective: Collective, ranks: Int) {
    guard ranks > 1 else { return }
    let payload = collective.kind.payloadBytes(count: collective.count, type: collective.type, ranks: ranks)
    byKind[collective.kind, default: Entry()].calls += 1
    byKind[collective.kind, default: Entry()].payloadBytes += payload
    byKind[collective.kind, default: Entry()].ringBytes += collective.kind.ringBytes(
      payload: payload, ranks: ranks)
  }

  /// Adds the time that a call took.
  package mutating func add(exposed: Double, hidden: Double, to kind: CollectiveKind) {
    byKind[kind, default: Entry()].exposedSeconds += exposed
    byKind[kind, default: Entry()].hiddenSeconds += hidden
  }

  /// What was counted between two readings.
  package static func - (a: CommunicationCounters, b: CommunicationCounters) -> CommunicationCounters {
    var difference = a
    for (kind, entry) in b.byKind { difference.byKind[kind] = a[kind] - entry }
    return difference
  }
}
