/// The primitives by which ranks exchange tensors (domain reference B11).
///
/// Sizes are stated in two ways. The *payload* K is the whole buffer: what each rank contributes to an
/// all-reduce, what each rank holds after an all-gather, what each holds before a reduce-scatter. The *ring
/// bytes* are what a rank sends on average under the ring algorithm (Patarasu and Yuan 2009), which is the least
/// possible for these primitives.
package enum CollectiveKind: String, Sendable, Hashable, Codable, CaseIterable {
  case broadcast
  case reduce
  case allReduce = "all-reduce"
  case gather
  case allGather = "all-gather"
  case scatter
  case reduceScatter = "reduce-scatter"
  case allToAll = "all-to-all"
  case send
  case receive
  case barrier

  /// Whether a call's count is that of one rank's block, the larger buffer being as many blocks as ranks. For
  /// the others the count is that of the whole buffer.
  package var countsBlocks: Bool {
    switch self {
    case .gather, .allGather, .scatter, .reduceScatter, .allToAll: true
    case .broadcast, .reduce, .allReduce, .send, .receive, .barrier: false
    }
  }

  /// Whether numbers are added up.
  package var reduces: Bool { self == .reduce || self == .allReduce || self == .reduceScatter }

  /// Bytes of the whole buffer for a call with `count` elements of `type` in a group of `ranks`.
  package func payloadBytes(count: Int, type: ElementType, ranks: Int) -> Int {
    self == .barrier ? 0 : count * type.byteCount * (countsBlocks ? ranks : 1)
  }

  /// Bytes that a rank sends, the mean over the group's ranks, for a payload of K bytes: 2(N-1)K/N for an
  /// all-reduce, K for a send, nothing for a receive, and (N-1)K/N for the others.
  package func ringBytes(payload: Int, ranks: Int) -> Double {
    switch self {
    case .barrier, .receive: 0
    case .send: Double(payload)
    case .allReduce: Double(2 * (ranks - 1) * payload) / Double(ranks)
    case .broadcast, .reduce, .gather, .allGather, .scatter, .reduceScatter, .allToAll:
      Double((ranks - 1) * payload) / Double(ranks)
    }
  }
}
