import ApusCore
import Foundation

/// What the ranks of one group share: the collectives under way and the lock around them.
///
/// All mutable state is guarded by `condition`, which also wakes the ranks that wait.
final class LocalGroup: @unchecked Sendable {
  /// Which collective: the n-th of the group, or the n-th message from one rank to another.
  enum Key: Hashable {
    case group(Int)
    case message(from: Int, to: Int, Int)
  }

  let name: String
  /// World ranks, by rank in the group.
  let worldRanks: [Int]
  let statuses: [RankStatus]
  let stallLimit: Double
  private let condition = NSCondition()
  private var operations: [Key: LocalOperation] = [:]
  private var failure: CommunicationError?
  private var children: [String: LocalGroup] = [:]

  /// - Parameter statuses: of the ranks of the world.
  init(name: String, worldRanks: [Int], statuses: [RankStatus], stallLimit: Double) {
    self.name = name
    self.worldRanks = worldRanks
    self.statuses = statuses
    self.stallLimit = stallLimit
  }

  var size: Int { worldRanks.count }

  /// Notes the call of `rank`, and checks that it asks for what the others ask for.
  func arrive(_ rank: Int, _ call: Collective, at key: Key) throws(CommunicationError) -> LocalOperation {
    condition.lock()
    defer { condition.unlock() }
    if let failure { throw failure }
    let operation = operations[key] ?? LocalOperation(participants: participants(of: key))
    operations[key] = operation
    if let first = operation.first, !first.call.agrees(with: call) {
      let error = CommunicationError.disagreement(
        group: name, ranks: [worldRanks[first.rank], worldRanks[rank]],
        asked: [first.call.request, call.request])
      failure = error
      condition.broadcast()
      throw error
    }
    operation.arrive(rank, call)
    if operation.hasAllArrived { condition.broadcast() }
    return operation
  }

  private func participants(of key: Key) -> [Int] {
    switch key {
    case .group: Array(0..<size)
    case .message(let from, let to, _): [from, to]
    }
  }

  /// Returns when the operation is done, having worked on it.
  func complete(_ operation: LocalOperation, at key: Key) throws(CommunicationError) {
    condition.lock()
    defer {
      leave(operation, at: key)
      condition.unlock()
    }
    var patience = Patience(limit: stallLimit)
    while !operation.isDone {
      if let failure { throw failure }
      if let part = operation.takePart() {
        condition.unlock()
        operation.perform(part)
        condition.lock()
        operation.finishPart()
        if operation.isDone || failure != nil { condition.broadcast() }
      } else {
        _ = condition.wait(until: Date(timeIntervalSinceNow: patience.slice))
        try check(operation, &patience)
      }
    }
  }

  /// Throws when a rank has been missing for too long without an errand.
  private func check(_ operation: LocalOperation, _ patience: inout Patience) throws(CommunicationError) {
    let missing = operation.missing
    guard let rank = missing.first, failure == nil else { return }
    let excused = missing.contains { statuses[worldRanks[$0]].errand != nil }
    guard patience.isOver(excused: excused) else { return }
    let waiting = operation.first.map { "\($0.call.text) (\(name))" } ?? name
    let error = CommunicationError.rankStalled(
      rank: worldRanks[rank], activity: statuses[worldRanks[rank]].activity, waitingIn: waiting,
      seconds: stallLimit)
    failure = error
    condition.broadcast()
    throw error
  }

  /// Removes what every participant has left. A rank that leaves because of a failure waits until nobody works
  /// on its memory; a part takes well under a millisecond.
  private func leave(_ operation: LocalOperation, at key: Key) {
    while operation.running > 0 { condition.wait() }
    operation.left += 1
    if operation.isLeftByAll { operations[key] = nil }
  }

  /// Makes every call on this group and on those split from it throw `error`, and waits until nobody works on
  /// the ranks' memory. A failure that stands already stays.
  func fail(_ error: CommunicationError) {
    condition.lock()
    if failure == nil { failure = error }
    condition.broadcast()
    while operations.values.contains(where: { $0.running > 0 }) { condition.wait() }
    let children = Array(self.children.values)
    condition.unlock()
    for child in children { child.fail(error) }
  }

  /// A rank gives up a collective that it has started: the group fails, unless it has failed before.
  func drop(_ call: Collective, by rank: Int) {
    fail(
      .rankFailed(
        rank: worldRanks[rank], activity: statuses[worldRanks[rank]].activity,
        reason: "it left before its \(call.text) (\(name)) was over"))
  }

  /// The group of `worldRanks` that the ranks of this one make together; the first that comes makes it.
  func child(_ key: String, name: String, worldRanks: [Int]) -> LocalGroup {
    condition.lock()
    defer { condition.unlock() }
    if let child = children[key] { return child }
    let child = LocalGroup(name: name, worldRanks: worldRanks, statuses: statuses, stallLimit: stallLimit)
    child.failure = failure
    children[key] = child
    return child
  }
}

/// Seconds of waiting that count towards the stall limit.
private struct Patience {
  private let limit: Double
  private var used = 0.0
  private var last = DispatchTime.now().uptimeNanoseconds

  init(limit: Double) { self.limit = limit }

  /// Seconds to sleep before looking again.
  var slice: Double { min(0.25, max(0.001, limit / 8)) }

  /// Adds the time since the last look, unless it is excused.
  mutating func isOver(excused: Bool) -> Bool {
    let now = DispatchTime.now().uptimeNanoseconds
    if !excused { used += Double(now - last) / 1e9 }
    last = now
    return used > limit
  }
}
