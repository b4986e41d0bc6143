import ApusCore
import Foundation

extension Collective {
  /// Stops the program where the call makes no sense in a group of `size`: our mistake.
  func check(rank: Int, size: Int) {
    require(count >= 0, "\(text): a count of \(count)")
    require((0..<size).contains(peer), "\(text): rank \(peer) is not in a group of \(size)")
    let isRoot = rank == peer
    let needsInput: Bool
    let needsOutput: Bool
    switch kind {
    case .barrier: (needsInput, needsOutput) = (false, false)
    case .broadcast, .receive: (needsInput, needsOutput) = (false, true)
    case .send: (needsInput, needsOutput) = (true, false)
    case .reduce, .gather: (needsInput, needsOutput) = (true, isRoot)
    case .scatter: (needsInput, needsOutput) = (isRoot, true)
    case .allReduce, .allGather, .reduceScatter, .allToAll: (needsInput, needsOutput) = (true, true)
    }
    require(input != nil || !needsInput, "\(text): no input")
    require(output != nil || !needsOutput, "\(text): no output")
    require(!kind.reduces || type != .uint8, "\(text): bytes are exchanged, not added")
    require(peer != rank || (kind != .send && kind != .receive), "\(text): a message to itself")
  }

  /// Whether the ranks that make these two calls mean the same collective.
  func agrees(with other: Collective) -> Bool {
    let isMessage = kind == .send || kind == .receive
    let sameKind = isMessage ? kind != other.kind : kind == other.kind && peer == other.peer
    return sameKind && count == other.count && type == other.type && reduction == other.reduction
  }

  /// What is asked for, to compare: `asks for all-reduce of x, 12 float32`.
  var request: String { "asks for \(text), \(count) \(type.rawValue)" }

  /// The whole collective in a group of one: the output becomes the input.
  func copyWithinOneRank() {
    guard let input, let output, input != UnsafeRawPointer(output) else { return }
    memmove(output, input, byteCount)
  }
}
