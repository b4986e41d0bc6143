import ApusCore

/// How numbers of several ranks become one.
package enum Reduction: String, Sendable, Hashable {
  case sum, maximum
}

/// One call of a primitive: what, from where, to where. Plain data; addresses must stay valid until the call
/// has been waited for.
///
/// Buffers of a group of N ranks, in elements, `count` = c:
///
/// | kind | input | output |
/// | --- | --- | --- |
/// | broadcast | - | c, on the root what the others receive |
/// | reduce | c | c on the root |
/// | all-reduce | c | c |
/// | gather | c | N c on the root, in order of rank |
/// | all-gather | c | N c |
/// | scatter | N c on the root | c |
/// | reduce-scatter | N c | c: the sum of everybody's block `rank` |
/// | all-to-all | N c, block i for rank i | N c, block i from rank i |
/// | send, receive | c (send) | c (receive) |
///
/// In place: all-reduce and reduce with output = input; gather and all-gather with the input at block `rank`
/// of the output; reduce-scatter with the output at block `rank` of the input, whose other blocks are then
/// lost; scatter with the root's output at its block of the input. Other overlaps are not allowed.
package struct Collective: @unchecked Sendable {
  // Unchecked because of the addresses: whoever starts a collective leaves the buffers alone until it has
  // waited, and the transports order their accesses by their own locks and messages.

  package var kind: CollectiveKind
  /// nil where the table above has none.
  package var input: UnsafeRawPointer?
  package var output: UnsafeMutableRawPointer?
  package var count: Int
  package var type: ElementType
  package var reduction: Reduction
  /// Root of broadcast, reduce, gather and scatter, or the other rank of send and receive; a rank of the group.
  package var peer: Int
  /// What is exchanged, for messages: `layer 3 gradients`.
  package var label: String

  package init(
    _ kind: CollectiveKind, from input: UnsafeRawPointer? = nil, to output: UnsafeMutableRawPointer? = nil,
    count: Int, type: ElementType, reduction: Reduction = .sum, peer: Int = 0, label: String
  ) {
    self.kind = kind
    self.input = input
    self.output = output
    self.count = count
    self.type = type
    self.reduction = reduction
    self.peer = peer
    self.label = label
  }

  /// Bytes of `count` elements.
  package var byteCount: Int { count * type.byteCount }

  /// `all-reduce of layer 3 gradients`.
  package var text: String { label.isEmpty ? kind.rawValue : "\(kind.rawValue) of \(label)" }
}
