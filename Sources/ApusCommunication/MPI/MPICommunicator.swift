import ApusCore
import CApusMPI
import Foundation
import Synchronization

/// One process's view of a group of processes that a launcher has started.
///
/// Large all-reduces, all-gathers and reduce-scatters go around a ring of our own; everything else is a
/// non-blocking collective of the library. All are driven by the communication thread.
package final class MPICommunicator: Communicator {
  private struct State {
    var rings = 0
    var log = TransferLog()
  }

  /// Below this an all-reduce takes the library's tree, which has fewer hops than the ring.
  private static let treeByteCount = 8 * 1024

  package let name: String
  package let rank: Int
  package let worldRanks: [Int]
  let engine: MPIEngine
  let status: RankStatus
  // Safe: a handle that only the communication thread looks into.
  private nonisolated(unsafe) let group: OpaquePointer
  private let state = Mutex(State())

  init(
    name: String, group: OpaquePointer, rank: Int, worldRanks: [Int], engine: MPIEngine, status: RankStatus
  ) {
    self.name = name
    self.group = group
    self.rank = rank
    self.worldRanks = worldRanks
    self.engine = engine
    self.status = status
  }

  package var size: Int { worldRanks.count }
  package var counters: CommunicationCounters { state.withLock { $0.log.counters } }

  package func start(_ collective: Collective) throws(CommunicationError) -> Pending {
    let begin = uptime()
    collective.check(rank: rank, size: size)
    if size == 1 {
      collective.copyWithinOneRank()
      return Pending(NoTransfer())
    }
    let transfer = MPITransfer(self, collective, job(collective))
    engine.submit(transfer)
    transfer.starting = uptime() - begin
    return Pending(transfer)
  }

  private func job(_ collective: Collective) -> any MPIJob {
    let ring =
      collective.kind == .allGather || collective.kind == .reduceScatter
      || (collective.kind == .allReduce && collective.byteCount > Self.treeByteCount)
    guard ring else { return MPIRequestJob(collective, group: group, rank: rank) }
    let number = state.withLock { state in
      state.rings += 1
      return state.rings
    }
    return MPIRingJob(
      collective, number: number, group: group, rank: rank, size: size, scratch: engine.scratch)
  }

  package func split(colour: Int, key: Int, name: String) throws(CommunicationError) -> any Communicator {
    let wishes = try allGather([Int32(colour), Int32(key)], label: "split into \(name)")
    let members = wishes.indices.filter { wishes[$0][0] == Int32(colour) }
      .sorted { (wishes[$0][1], $0) < (wishes[$1][1], $1) }
    let own = members.firstIndex(of: rank)!
    // The library's split blocks; all ranks are here, so not for long.
    let result = engine.perform { [self] in
      var part: OpaquePointer?
      let code = apus_mpi_split(group, Int32(colour), Int32(own), &part)
      return (part, code)
    }
    guard let part = result.0, result.1 == 0 else {
      throw .transport(
        rank: worldRanks[rank], operation: "split into \(name)",
        reason: MPIFault(operation: "", code: result.1).reason)
    }
    return MPICommunicator(
      name: name, group: part, rank: own, worldRanks: members.map { worldRanks[$0] }, engine: engine,
      status: status)
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

/// A collective between processes, from start to wait.
///
/// `isOver` is guarded by the engine's lock. The communication thread writes the other results before it sets
/// that, and the computing thread reads them after it has seen it.
final class MPITransfer: Transfer, @unchecked Sendable {
  private let communicator: MPICommunicator
  private let collective: Collective
  private let job: any MPIJob
  private let startTime = uptime()
  private(set) var isOver = false
  private var doneTime: UInt64 = 0
  private var fault: MPIFault?
  private var hasFinished = false
  /// Nanoseconds that the start took.
  var starting: UInt64 = 0

  init(_ communicator: MPICommunicator, _ collective: Collective, _ job: any MPIJob) {
    self.communicator = communicator
    self.collective = collective
    self.job = job
  }

  /// One round of the communication thread; true if anything has moved.
  func advance() -> Bool {
    do {
      let hasMoved = try job.advance()
      if job.isOver { doneTime = uptime() }
      return hasMoved || job.isOver
    } catch {
      fault = error
      return true
    }
  }

  /// Notes under the engine's lock that the work is over, if it is.
  func settle() { isOver = fault != nil || job.isOver }

  func finish() throws(CommunicationError) {
    let begin = uptime()
    hasFinished = true
    communicator.status.enter("\(collective.text) (\(communicator.name))")
    communicator.engine.wait(self)
    if let fault {
      throw .transport(
        rank: communicator.worldRanks[communicator.rank],
        operation: "\(collective.text) (\(communicator.name))",
        reason: fault.reason)
    }
    communicator.status.leave()
    communicator.note(
      collective, starting: starting, start: startTime, end: doneTime, waited: begin..<uptime())
  }

  func drop() {
    if !hasFinished { communicator.engine.onDrop("\(collective.text) (\(communicator.name))") }
  }
}
