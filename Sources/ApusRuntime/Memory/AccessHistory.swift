import ApusCore
import ApusProgram

/// How much of an arena is in use over time, told from accesses alone: no plan is asked.
///
/// A chunk is in use from the access that gave it its content to the last one that reads it: at an access that
/// reads first, everything since the access before was needed; at one that writes first, nothing was.
package struct AccessHistory {
  /// What a chunk's bytes are counted as.
  package enum Use: Hashable, Sendable {
    case role(Role)
    /// Transient memory that outlives the instruction which wrote it.
    case values
    /// Transient memory of a single instruction.
    case scratch
  }

  /// The bytes of one event.
  package struct Event: Sendable {
    package fileprivate(set) var inUse: [Use: Int] = [:]
    /// Bytes touched here for the first time.
    package fileprivate(set) var firstTouched = 0

    package var total: Int { inUse.values.reduce(0, +) }
  }

  /// The role of each chunk; nil in the transient region.
  private let roles: [Role?]
  private let chunkByteCount: Int
  private let byteCount: Int
  private var last: [Int32]
  /// Chunks whose last access wrote first: whether it wrote a value or scratch is told by the next one.
  private var isOpen: [Bool]
  /// The first note of each chunk in the current period.
  private var firstOfPeriod: [UInt8]
  /// Changes of the bytes in use, by event, and those behind the last one.
  private var changes: [[Use: Int]] = [[:]]
  private var touched: [Int] = []

  /// - Parameter plan: gives chunks their names, not their times.
  package init(_ program: StepProgram, _ plan: MemoryPlan, chunkByteCount: Int) {
    byteCount = plan.totalBytes
    self.chunkByteCount = chunkByteCount
    let count = (plan.totalBytes + chunkByteCount - 1) / chunkByteCount
    var roles: [Role?] = Array(repeating: nil, count: count)
    for (index, storage) in program.storages.enumerated() where storage.isPersistent {
      guard let offset = plan.offsets[index] else { continue }
      for chunk in offset / chunkByteCount...max(offset, offset + storage.byteCount - 1) / chunkByteCount {
        roles[chunk] = roles[chunk] ?? storage.role
      }
    }
    self.roles = roles
    last = Array(repeating: -1, count: count)
    isOpen = Array(repeating: false, count: count)
    firstOfPeriod = Array(repeating: 0, count: count)
  }

  /// Says that what follows is the last step, which later steps repeat.
  package mutating func beginPeriod() {
    for chunk in firstOfPeriod.indices { firstOfPeriod[chunk] = 0 }
  }

  /// Adds the notes of the next event.
  package mutating func add(_ notes: UnsafeBufferPointer<UInt8>) {
    let now = touched.count
    changes.append([:])
    touched.append(0)
    for chunk in last.indices where notes[chunk] != 0 {
      let note = notes[chunk]
      if firstOfPeriod[chunk] == 0 { firstOfPeriod[chunk] = note }
      let before = Int(last[chunk])
      if before < 0 { touched[now] += bytes(chunk) }
      let readsFirst = note != ArenaAccess.written
      settle(chunk, wasRead: readsFirst)
      if readsFirst {
        // Content from before the first event counts from the start, but for gradients and optimizer states, which
        // hold nothing but zeros then.
        let holdsNothing = roles[chunk] == .gradient || roles[chunk] == .optimizerState
        count(chunk, .values, from: before >= 0 ? before + 1 : holdsNothing ? now : 0, through: now)
      } else {
        isOpen[chunk] = true
      }
      last[chunk] = Int32(now)
    }
  }

  /// The events, the last period followed by its like.
  package consuming func finish() -> [Event] {
    for chunk in last.indices where last[chunk] >= 0 {
      let staysInUse = firstOfPeriod[chunk] != 0 && firstOfPeriod[chunk] != ArenaAccess.written
      settle(chunk, wasRead: staysInUse)
      if staysInUse {
        count(chunk, .values, from: Int(last[chunk]) + 1, through: touched.count - 1)
      }
    }
    var (current, events): ([Use: Int], [Event]) = ([:], [])
    for (change, touched) in zip(changes, touched) {
      for (use, bytes) in change { current[use, default: 0] += bytes }
      events.append(Event(inUse: current, firstTouched: touched))
    }
    return events
  }

  /// Counts an access that wrote first, now that it is known whether anybody read what it wrote.
  private mutating func settle(_ chunk: Int, wasRead: Bool) {
    guard isOpen[chunk] else { return }
    isOpen[chunk] = false
    count(chunk, wasRead ? .values : .scratch, from: Int(last[chunk]), through: Int(last[chunk]))
  }

  private mutating func count(_ chunk: Int, _ use: Use, from first: Int, through end: Int) {
    guard first <= end else { return }
    let use = roles[chunk].map(Use.role) ?? use
    changes[first][use, default: 0] += bytes(chunk)
    changes[end + 1][use, default: 0] -= bytes(chunk)
  }

  private func bytes(_ chunk: Int) -> Int { min(chunkByteCount, byteCount - chunk * chunkByteCount) }
}
