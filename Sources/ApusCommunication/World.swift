import ApusCore
import Dispatch
import Synchronization

/// All ranks of a run, seen from one of them.
package protocol World: AnyObject, Sendable {
  /// This rank's number.
  var rank: Int { get }
  /// The number of ranks.
  var size: Int { get }
  /// Whether the ranks are threads of this process.
  var isOneProcess: Bool { get }
  /// The data plane: all ranks as one group, from which the axes are split.
  var data: any Communicator { get }
  /// The control plane: all ranks, for bytes of the host. Its messages never wait behind the data's.
  var control: any Communicator { get }
  /// What this rank is doing, for the messages of the others when it ends early.
  var status: RankStatus { get }
  /// Ends the run because this rank cannot go on: every other rank's collective throws or its process ends,
  /// naming this rank and `reason`.
  func fail(_ reason: String)
}

/// What a rank is doing. The rank writes, the watchers read.
package final class RankStatus: Sendable {
  private struct State {
    var activity = RankActivity()
    var begun = 0
    var errand: String?
    var changed = DispatchTime.now().uptimeNanoseconds
  }
  private let state = Mutex(State())

  package init() {}

  package var activity: RankActivity { state.withLock { $0.activity } }

  /// Collectives that this rank has begun to wait for.
  package var collectivesBegun: Int { state.withLock { $0.begun } }

  /// What keeps the rank away from collectives for a while, if anything.
  package var errand: String? { state.withLock { $0.errand } }

  /// Everything at one moment.
  var report: RankReport {
    state.withLock {
      RankReport(
        activity: $0.activity, begun: $0.begun, errand: $0.errand ?? "", age: seconds(since: $0.changed))
    }
  }

  /// Notes the step, counted from 1, that begins.
  package func begin(step: Int) {
    state.withLock {
      $0.activity.step = step
      $0.changed = DispatchTime.now().uptimeNanoseconds
    }
  }

  /// Notes that the rank enters a collective: `all-reduce of layer 3 gradients (data)`.
  package func enter(_ collective: String) {
    state.withLock {
      $0.activity.collective = collective
      $0.activity.hasLeft = false
      $0.begun += 1
      $0.changed = DispatchTime.now().uptimeNanoseconds
    }
  }

  /// Notes that the rank is through it.
  package func leave() {
    state.withLock {
      $0.activity.hasLeft = true
      $0.changed = DispatchTime.now().uptimeNanoseconds
    }
  }

  /// Does something that may take long while other ranks wait, such as writing a checkpoint: it is not taken
  /// for a stall.
  package func onErrand<Result, Failure: Error>(
    _ name: String, _ body: () throws(Failure) -> Result
  ) throws(Failure) -> Result {
    state.withLock { $0.errand = name }
    defer {
      state.withLock {
        $0.errand = nil
        $0.changed = DispatchTime.now().uptimeNanoseconds
      }
    }
    return try body()
  }
}
