import ApusCore
import Foundation

/// One collective between threads, from the first rank that starts it to the last that has waited.
///
/// The work is cut into parts of fixed extent. Once every participant has started, whoever waits takes parts
/// until none is left: a rank that still computes finds its share done. Which thread does a part changes
/// nothing in its result, since sums go in order of rank.
///
/// All properties are guarded by the group's lock, apart from what `perform` reads: the calls are complete and
/// stay unchanged once parts are handed out.
final class LocalOperation: @unchecked Sendable {
  /// Elements of a part: enough to make the lock negligible, few enough to share the work.
  private static let partByteCount = 256 * 1024

  /// The participants' ranks in the group: all in order, or the sender and the receiver.
  let participants: [Int]
  /// The call of each participant, once it has started.
  private(set) var calls: [Collective?]
  private var arrived = 0
  private var nextPart = 0
  private var doneParts = 0
  private var partCount = 0
  /// Participants that have waited, or have left because the group failed.
  var left = 0
  /// Parts being worked on at this moment.
  private(set) var running = 0
  private(set) var firstPartTime: UInt64 = 0
  private(set) var doneTime: UInt64 = 0

  init(participants: [Int]) {
    self.participants = participants
    calls = Array(repeating: nil, count: participants.count)
  }

  var hasAllArrived: Bool { arrived == participants.count }
  var isDone: Bool { hasAllArrived && doneParts == partCount }
  var isLeftByAll: Bool { left == participants.count }
  /// Participants that have not started.
  var missing: [Int] { participants.indices.filter { calls[$0] == nil }.map { participants[$0] } }

  /// The call that came first, with the rank that made it.
  var first: (rank: Int, call: Collective)? {
    for (index, call) in calls.enumerated() {
      if let call { return (participants[index], call) }
    }
    return nil
  }

  /// Notes a participant's call; the last one cuts the work into parts.
  func arrive(_ rank: Int, _ call: Collective) {
    calls[position(rank)] = call
    arrived += 1
    if hasAllArrived {
      partCount = blockCount * partsPerBlock
      if partCount == 0 { doneTime = DispatchTime.now().uptimeNanoseconds }
    }
  }

  /// The next part that nobody has taken, if all participants are here.
  func takePart() -> Int? {
    guard hasAllArrived, nextPart < partCount else { return nil }
    if nextPart == 0 { firstPartTime = DispatchTime.now().uptimeNanoseconds }
    nextPart += 1
    running += 1
    return nextPart - 1
  }

  /// Notes that a part has been performed.
  func finishPart() {
    running -= 1
    doneParts += 1
    if isDone { doneTime = DispatchTime.now().uptimeNanoseconds }
  }

  private func position(_ rank: Int) -> Int {
    guard let index = participants.firstIndex(of: rank) else {
      require(false, "rank \(rank) takes part in a collective of \(participants)")
      return 0
    }
    return index
  }

  // MARK: The work

  private var call: Collective { calls[0]! }
  private var elementsPerPart: Int { max(1, Self.partByteCount / call.type.byteCount) }
  private var partsPerBlock: Int { (call.count + elementsPerPart - 1) / elementsPerPart }

  /// Pieces of `count` elements that are computed or copied independently.
  private var blockCount: Int {
    switch call.kind {
    case .barrier: 0
    case .allReduce, .reduce, .send, .receive: 1
    case .broadcast, .gather, .allGather, .scatter, .reduceScatter: participants.count
    case .allToAll: participants.count * participants.count
    }
  }

  /// Copies or adds one part. Runs without the lock.
  func perform(_ part: Int) {
    let (block, piece) = (part / partsPerBlock, part % partsPerBlock)
    let size = call.type.byteCount
    let first = piece * elementsPerPart
    let count = min(elementsPerPart, call.count - first)
    let blockBytes = call.count * size

    func input(_ rank: Int, block: Int = 0) -> UnsafeRawPointer {
      calls[rank]!.input! + block * blockBytes + first * size
    }
    func output(_ rank: Int, block: Int = 0) -> UnsafeMutableRawPointer {
      calls[rank]!.output! + block * blockBytes + first * size
    }
    func copy(_ source: UnsafeRawPointer, _ destination: UnsafeMutableRawPointer) {
      if source != UnsafeRawPointer(destination) { memmove(destination, source, count * size) }
    }
    let ranks = participants.indices
    switch call.kind {
    case .barrier: break
    case .allReduce:
      RankSum.run(
        call.reduction, call.type, inputs: ranks.map { input($0) }, outputs: ranks.map { output($0) },
        count: count)
    case .reduce:
      RankSum.run(
        call.reduction, call.type, inputs: ranks.map { input($0) }, outputs: [output(call.peer)], count: count
      )
    case .reduceScatter:
      RankSum.run(
        call.reduction, call.type, inputs: ranks.map { input($0, block: block) }, outputs: [output(block)],
        count: count)
    case .broadcast: copy(UnsafeRawPointer(output(call.peer)), output(block))
    case .gather: copy(input(block), output(call.peer, block: block))
    case .allGather:
      for rank in ranks { copy(input(block), output(rank, block: block)) }
    case .scatter: copy(input(call.peer, block: block), output(block))
    case .allToAll:
      let (from, to) = (block / participants.count, block % participants.count)
      copy(input(from, block: to), output(to, block: from))
    case .send, .receive: copy(input(0), output(1))
    }
  }
}
