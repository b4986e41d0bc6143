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
    var counters = CommunicationCounters()

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
  package var counters: CommunicationCounters { state.withLock { $0.counters } }
  fileprivate var status: RankStatus { group.statuses[group.worldRanks[rank]] }

  package func start(_ collective: Collective) throws(CommunicationError) -> Pending {
    let begin = DispatchTime.now().uptimeNanoseconds
    collective.check(rank: rank, size: size)
    if size == 1 {
      collective.copyWithinOneRank()
      return Pending(NoTransfer())
    }
    let key = state.withLock { state in
      state.counters.count(collective, ranks: size)
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
    transfer.exposed = seconds(since: begin)
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

  fileprivate func add(exposed: Double, hidden: Double, to kind: CollectiveKind) {
    state.withLock { $0.counters.add(exposed: exposed, hidden: hidden, to: kind) }
  }
}

/// A collective that a rank has started. Used by that rank's thread alone.
private final class LocalTransfer: Transfer {
  private let communicator: LocalCommunicator
  private let collective: Collective
  private let operation: LocalOperation
  private let key: LocalGroup.Key
  private var hasFinished = false
  var exposed = 0.0

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
    let begin = DispatchTime.now().uptimeNanoseconds
    hasFinished = true
    communicator.status.enter("\(collective.text) (\(communicator.name))")
    try communicator.group.complete(operation, at: key)
    communicator.status.leave()
    // What others did of it before this rank came was hidden behind its work.
    let hidden = Double(min(operation.doneTime, begin)) - Double(operation.firstPartTime)
    communicator.add(
      exposed: exposed + seconds(since: begin),
      hidden: operation.firstPartTime == 0 ? 0 : max(0, hidden / 1e9), to: collective.kind)
  }

  func drop() {
    guard !hasFinished else { return }
    communicator.group.drop(collective, by: communicator.rank)
  }
}

func seconds(since start: UInt64) -> Double {
  Double(DispatchTime.now().uptimeNanoseconds - start) / 1e9
}
