import ApusCore

/// What can go wrong between ranks.
package enum CommunicationError: Error, CustomStringConvertible, Hashable, Sendable {
  /// A rank ended early: `activity` is what it did last.
  case rankFailed(rank: Int, activity: RankActivity, reason: String)
  /// A rank did not come to a collective in which others wait, or did not give a sign of life.
  case rankStalled(rank: Int, activity: RankActivity, waitingIn: String, seconds: Double)
  /// Two ranks of a group asked for different things at the same place.
  case disagreement(group: String, ranks: [Int], asked: [String])
  /// The ranks cannot be joined: too many, too few, or not reachable.
  case launch(String)
  /// The message library refused.
  case transport(rank: Int, operation: String, reason: String)

  package var description: String {
    switch self {
    case .rankFailed(let rank, let activity, let reason):
      return "rank \(rank) failed \(activity.text): \(reason)"
    case .rankStalled(let rank, let activity, let waitingIn, let seconds):
      return "rank \(rank) has stalled \(activity.text): the others wait in \(waitingIn) "
        + "for more than \(seconds.formatted(decimals: 1)) s"
    case .disagreement(let group, let ranks, let asked):
      let parts = zip(ranks, asked).map { "rank \($0) \($1)" }.joined(separator: ", ")
      return "the ranks of group \(group) do not do the same: \(parts)"
    case .launch(let problem):
      return problem
    case .transport(let rank, let operation, let reason):
      return "rank \(rank): \(operation) failed: \(reason)"
    }
  }
}

/// What a rank was doing when it was last heard of.
package struct RankActivity: Hashable, Sendable {
  /// The step, counted from 1; 0 before the first.
  package var step: Int
  /// The last collective it began, with its group: `all-reduce of layer 3 gradients (data)`; empty if none.
  package var collective: String
  /// Whether it had left that collective.
  package var hasLeft: Bool

  package init(step: Int = 0, collective: String = "", hasLeft: Bool = true) {
    self.step = step
    self.collective = collective
    self.hasLeft = hasLeft
  }

  /// `at step 17, in all-reduce of layer 3 gradients (data)`.
  package var text: String {
    let place = step == 0 ? "before the first step" : "at step \(step)"
    if collective.isEmpty { return "\(place), before any collective" }
    return "\(place), \(hasLeft ? "after" : "in") \(collective)"
  }
}
