import Foundation
import Synchronization

/// Watches the other ranks of a run, beside MPI: a rank that has died closes its connection, one that hangs
/// falls silent or stays away from a collective. MPI need not notice, and its calls may block for ever.
///
/// Ranks are connected as a star, with the first in the middle. The first that notices ends the run: it says
/// one line and every process ends with `exitCode`, without waiting for anything.
final class Watch: @unchecked Sendable {
  // `links`, `reports`, `heard` and `gone` belong to the watch's thread once `start` has been called, apart
  // from the links themselves, which are safe to use from any thread.

  /// How a process ends when another one has failed.
  package static let exitCode: Int32 = 70
  /// Seconds that the others give the rank that says why the run is over.
  private static let lastWordsLimit = 3.0
  /// Seconds between two reports, and between two looks.
  private static let period = 0.1

  private let rank: Int
  private let size: Int
  private let status: RankStatus
  private let stallLimit: Double
  /// The other ranks that this one talks to: all from the first, the first from the others.
  private var links: [Int: LivenessLink]
  private var judge: StallJudge
  private var heard: [Int: UInt64] = [:]
  private var gone: Set<Int> = []
  private let isFinishing = Mutex(false)

  init(rank: Int, size: Int, status: RankStatus, stallLimit: Double, links: [Int: LivenessLink]) {
    self.rank = rank
    self.size = size
    self.status = status
    self.stallLimit = stallLimit
    self.links = links
    judge = StallJudge(limit: stallLimit, size: size)
  }

  func start() {
    for peer in links.keys { heard[peer] = DispatchTime.now().uptimeNanoseconds }
    let thread = Thread { [self] in run() }
    thread.name = "watch"
    thread.start()
  }

  /// Tells the others that this rank ends as it should.
  func finish() {
    isFinishing.withLock { $0 = true }
    for link in links.values { link.send(.goodbye) }
  }

  /// Tells the others that this rank cannot go on. On the first rank it returns; elsewhere the first rank says
  /// the line and the verdict ends this process.
  func fail(_ reason: String) {
    if rank == 0 {
      // Where another's process is gone, that is the cause, and an error of MPI's here its consequence: the watch
      // sees it in a moment and then ends this process.
      Thread.sleep(forTimeInterval: 3 * Self.period)
      isFinishing.withLock { $0 = true }
      for link in links.values { link.send(.verdict(reason)) }
      return
    }
    // What all ranks have met, as a loss that is not finite, the first one says by itself.
    Thread.sleep(forTimeInterval: 1)
    links[0]?.send(.report(status.report))
    links[0]?.send(.failure(reason))
    Thread.sleep(forTimeInterval: 5)
  }

  private func run() {
    let period = UInt64(Self.period * 1e9)
    var nextReport = uptime()
    while true {
      var polls = links.sorted { $0.key < $1.key }.filter { !gone.contains($0.key) }
        .map { (peer: $0.key, poll: pollfd(fd: $0.value.descriptor, events: Int16(POLLIN), revents: 0)) }
      if polls.isEmpty, isFinishing.withLock({ $0 }) { return }
      var descriptors = polls.map(\.poll)
      let now = uptime()
      let rest = nextReport > now ? (nextReport - now) / 1_000_000 + 1 : 0
      _ = poll(&descriptors, nfds_t(descriptors.count), Int32(rest))
      for index in polls.indices where descriptors[index].revents != 0 {
        polls[index].poll = descriptors[index]
        read(polls[index].peer)
      }
      // One a period, however many come: two ranks that answered each other's at once would never rest.
      if uptime() >= nextReport {
        report()
        nextReport = uptime() + period
      }
      look()
    }
  }

  private func read(_ peer: Int) {
    guard let link = links[peer] else { return }
    let (messages, isClosed) = link.receive()
    for message in messages {
      heard[peer] = DispatchTime.now().uptimeNanoseconds
      switch message {
      case .report(let report): judge.reports[peer] = report
      case .goodbye: gone.insert(peer)
      case .failure(let reason):
        end(
          CommunicationError.rankFailed(rank: peer, activity: activity(of: peer), reason: reason).description)
      case .verdict: endBehind(link)
      case .hello: break
      }
    }
    guard isClosed, !gone.contains(peer) else { return }
    if isFinishing.withLock({ $0 }) {
      gone.insert(peer)
      return
    }
    end(
      CommunicationError.rankFailed(
        rank: peer, activity: activity(of: peer), reason: "its process is gone; \(waiting)"
      ).description)
  }

  /// Ends this process once the rank that gave the verdict has said its line and ended: a launcher takes the
  /// status of the first that ends for the job's, and kills the others.
  private func endBehind(_ link: LivenessLink) -> Never {
    let start = DispatchTime.now().uptimeNanoseconds
    while seconds(since: start) < Self.lastWordsLimit, !link.receive().isClosed {
      var descriptor = pollfd(fd: link.descriptor, events: Int16(POLLIN), revents: 0)
      _ = poll(&descriptor, 1, Int32(Self.period * 1_000))
    }
    // A connection closes a moment before its process has ended.
    Thread.sleep(forTimeInterval: 2 * Self.period)
    _exit(Self.exitCode)
  }

  private func activity(of peer: Int) -> RankActivity { judge.reports[peer]?.activity ?? RankActivity() }

  /// Where this rank is, which the message says of those that go on.
  private var waiting: String {
    let activity = status.activity
    guard activity.hasLeft else { return "rank \(rank) waits in \(activity.collective)" }
    return "rank \(rank) was computing" + (activity.collective.isEmpty ? "" : " after \(activity.collective)")
  }

  private func report() {
    for (peer, link) in links where !gone.contains(peer) { link.send(.report(status.report)) }
  }

  private func look() {
    if isFinishing.withLock({ $0 }) { return }
    for (peer, time) in heard where !gone.contains(peer) && seconds(since: time) > stallLimit {
      end(stalled(peer, "gives no sign of life").description)
    }
    guard rank == 0 else { return }
    judge.reports[0] = status.report
    if let stall = judge.verdict(gone: gone) { end(stall.description) }
  }

  private func stalled(_ peer: Int, _ how: String) -> CommunicationError {
    .rankStalled(
      rank: peer, activity: activity(of: peer), waitingIn: "\(status.activity.collective)",
      seconds: stallLimit)
  }

  /// Says the line, unless another rank does, and ends the run.
  private func end(_ line: String) -> Never {
    // Where the first rank is the one that failed, the second speaks.
    if rank <= 1 {
      let text = Array("apus: \(line)\n".utf8)
      _ = text.withUnsafeBytes { write(2, $0.baseAddress!, $0.count) }
    }
    for link in links.values { link.send(.verdict(line)) }
    _exit(Self.exitCode)
  }
}

/// Decides from the reports of all ranks whether one has stalled.
package struct StallJudge {
  package let limit: Double
  package let size: Int
  package var reports: [Int: RankReport] = [:]

  package init(limit: Double, size: Int) {
    self.limit = limit
    self.size = size
  }

  /// The stall, if there is one: while a rank has waited in a collective for longer than the limit, another has
  /// for as long done something else without an errand; or all have waited for as long, each for others.
  package func verdict(gone: Set<Int>) -> CommunicationError? {
    let ranks = reports.filter { !gone.contains($0.key) }.sorted { $0.key < $1.key }
    guard ranks.allSatisfy({ $0.value.errand.isEmpty }),
      let waiter = ranks.first(where: { $0.value.isWaiting && $0.value.age > limit })
    else { return nil }
    func error(_ rank: Int, _ report: RankReport) -> CommunicationError {
      .rankStalled(
        rank: rank, activity: report.activity, waitingIn: waiter.value.activity.collective, seconds: limit)
    }
    if let culprit = ranks.filter({ !$0.value.isWaiting && $0.value.age > limit })
      .max(by: { $0.value.age < $1.value.age })
    {
      return error(culprit.key, culprit.value)
    }
    guard ranks.count == size, ranks.allSatisfy({ $0.value.isWaiting && $0.value.age > limit }) else {
      return nil
    }
    let last = ranks.min { ($0.value.begun, $0.key) < ($1.value.begun, $1.key) }!
    return error(last.key, last.value)
  }
}
