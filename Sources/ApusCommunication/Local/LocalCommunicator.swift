import ApusCore
import Foundation
import Synchronization

/// One rank's view of a group of threads.
///
/// Waiting ranks sleep on a condition. Sums go in order of rank, in one rounding for 16-bit types, so that a
/// result is the same on every rank and in every run.
package final class LocalCommunicator: Communicator {
  private struct State {
    var collectives = 0
    var messages: [LocalGroup.Key: Int] = [:]
    var splits = 0
    var log = TransferLog()

    mutating func nextMessage(from: Int, to: Int) -> LocalGroup.Key {
      let edge = LocalGroup.Key.message(from: from, to: to, 0)
      messages[edge, default: 0] += 1
      return .message(from: from, to: to, messages[edge]!)
    }
  }

  let group: LocalGroup
  package let rank: Int
  private let state = Mutex(State())

  init(_ group: LocalGroup, rank: Int) {
    self.group = group
    self.rank = rank
  }

  package var name: String { group.name }
  package var size: Int { group.size }
  package var worldRanks: [Int] { group.worldRanks }
  package var counters: CommunicationCounters { state.withLock { $0.log.counters } }
  fileprivate var status: RankStatus { group.statuses[group.worldRanks[rank]] }

  package func start(_ collective: Collective) throws(CommunicationError) -> Pending {
    let begin = uptime()
    collective.check(rank: rank, size: size)
    if size == 1 {
      collective.copyWithinOneRank()
      return Pending(NoTransfer())
    }
    let key = state.withLock { state in
      switch collective.kind {
      case .send: return state.nextMessage(from: rank, to: collective.peer)
      case .receive: return state.nextMessage(from: collective.peer, to: rank)
      default:
        state.collectives += 1
        return LocalGroup.Key.group(state.collectives)
      }
    }
    let operation = try group.arrive(rank, collective, at: key)
    let transfer = LocalTransfer(self, collective, operation, key)
    transfer.starting = uptime() - begin
    return Pending(transfer)
  }

  package func split(colour: Int, key: Int, name: String) throws(CommunicationError) -> any Communicator {
    let wishes = try allGather([Int32(colour), Int32(key)], label: "split into \(name)")
    let members = wishes.indices.filter { wishes[$0][0] == Int32(colour) }
      .sorted { (wishes[$0][1], $0) < (wishes[$1][1], $1) }
    let number = state.withLock { state in
      state.splits += 1
      return state.splits
    }
    let child = group.child(
      "\(number).\(colour)", name: name, worldRanks: members.map { group.worldRanks[$0] })
    return LocalCommunicator(child, rank: members.firstIndex(of: rank)!)
  }

  package func observe(_ observer: (@Sendable (Flight) -> Void)?) {
    state.withLock { $0.log.observer = observer }
  }

  fileprivate func note(
    _ collective: Collective, starting: UInt64, start: UInt64, end: UInt64, waited: Range<UInt64>
  ) {
    state.withLock {
      $0.log.note(
        collective, ranks: size, group: name, starting: starting, start: start, end: end, waited: waited)
    }
  }
}

/// A collective that a rank has started. Used by that rank's thread alone.
private final class LocalTransfer: Transfer {
  private let communicator: LocalCommunicator
  private let collective: Collective
  private let operation: LocalOperation
  private let key: LocalGroup.Key
  private var hasFinished = false
  /// Nanoseconds that the start took.
  var starting: UInt64 = 0

  init(
    _ communicator: LocalCommunicator, _ collective: Collective, _ operation: LocalOperation,
    _ key: LocalGroup.Key
  ) {
    self.communicator = communicator
    self.collective = collective
    self.operation = operation
    self.key = key
  }

  func finish() throws(CommunicationError) {
    let begin = uptime()
    hasFinished = true
    communicator.status.enter("\(collective.text) (\(communicator.name))")
    try communicator.group.complete(operation, at: key)
    communicator.status.leave()
    // It is under way from the first part of its work; what others did of it before this rank came was hidden
    // behind this rank's own.
    let start = operation.firstPartTime == 0 ? operation.doneTime : operation.firstPartTime
    communicator.note(
      collective, starting: starting, start: start, end: operation.doneTime, waited: begin..<uptime())
  }

  func drop() {
    guard !hasFinished else { return }
    communicator.group.drop(collective, by: communicator.rank)
  }
}

/// Nanoseconds of the system's uptime.
func uptime() -> UInt64 { DispatchTime.now().uptimeNanoseconds }

func seconds(since start: UInt64) -> Double { Double(uptime() - start) / 1e9 }
