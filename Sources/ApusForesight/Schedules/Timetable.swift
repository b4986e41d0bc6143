/// When every device of a pipeline does what: the outcome of playing its orders.
package struct Timetable: Hashable, Sendable {
  /// One action and when it runs.
  package struct Entry: Hashable, Sendable {
    package var action: PipelineAction
    package var start, end: Double
  }

  /// One list a device, in order.
  package internal(set) var entries: [[Entry]]

  /// From the start to the end of the last action.
  package var makespan: Double { entries.compactMap { $0.last?.end }.max() ?? 0 }

  /// Time that a device computes. Actions that are joined count once.
  package func busy(device: Int) -> Double {
    var (sum, joined) = (0.0, false)
    for entry in entries[device] {
      if !joined { sum += entry.end - entry.start }
      joined = entry.action.joinsNext
    }
    return sum
  }

  /// Time that a device waits within the makespan.
  package func idle(device: Int) -> Double { makespan - busy(device: device) }

  /// Time that a device waits between its first and its last action.
  package func innerIdle(device: Int) -> Double {
    guard let first = entries[device].first, let last = entries[device].last else { return 0 }
    return last.end - first.start - busy(device: device)
  }

  /// Idle time over busy time of the busiest device: the published r of domain reference B5.
  package var bubbleRatio: Double {
    let busiest = entries.indices.map(busy(device:)).max() ?? 0
    return busiest > 0 ? (makespan - busiest) / busiest : 0
  }
}
