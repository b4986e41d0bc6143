import ApusCore
import Foundation

/// The ranks of one process, each a thread.
package final class LocalWorld: World {
  package let rank: Int
  package let data: any Communicator
  package let control: any Communicator
  private let shared: Shared

  /// What the ranks of the process share.
  final class Shared: Sendable {
    let statuses: [RankStatus]
    let data: LocalGroup
    let control: LocalGroup

    init(size: Int, stallLimit: Double) {
      let ranks = Array(0..<size)
      statuses = ranks.map { _ in RankStatus() }
      data = LocalGroup(name: "world", worldRanks: ranks, statuses: statuses, stallLimit: stallLimit)
      control = LocalGroup(name: "control", worldRanks: ranks, statuses: statuses, stallLimit: stallLimit)
    }

    func fail(rank: Int, _ reason: String) {
      let error = CommunicationError.rankFailed(
        rank: rank, activity: statuses[rank].activity, reason: reason)
      data.fail(error)
      control.fail(error)
    }
  }

  init(_ shared: Shared, rank: Int) {
    self.shared = shared
    self.rank = rank
    data = LocalCommunicator(shared.data, rank: rank)
    control = LocalCommunicator(shared.control, rank: rank)
  }

  package var size: Int { shared.statuses.count }
  package var isOneProcess: Bool { true }
  package var status: RankStatus { shared.statuses[rank] }

  package func fail(_ reason: String) { shared.fail(rank: rank, reason) }

  /// The world of one rank: nothing is ever exchanged.
  package static func alone() -> LocalWorld {
    LocalWorld(Shared(size: 1, stallLimit: .infinity), rank: 0)
  }
}
