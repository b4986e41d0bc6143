import ApusCore

/// A group of ranks, mostly those along one axis of the mesh, seen from one of its ranks.
///
/// Every rank of the group calls the same collectives in the same order, from one thread at a time; send and
/// receive are between two ranks and ordered between those. Calls are started and then waited for; several may
/// be in flight. The result of a sum depends on the transport, the group and the buffer's size, never on timing:
/// two runs of one layout are bit-identical.
///
/// `LocalCommunicator` joins threads of one process, `MPICommunicator` processes.
package protocol Communicator: AnyObject, Sendable {
  /// The axis, for messages and reports: `data`.
  var name: String { get }
  /// This rank's number in the group.
  var rank: Int { get }
  /// Ranks in the group.
  var size: Int { get }
  /// The group's ranks by their numbers in the world.
  var worldRanks: [Int] { get }

  /// Starts a collective and returns at once. The buffers belong to the transfer until it has been waited for:
  /// an input may be read meanwhile, an output may not be touched.
  ///
  /// - Throws: when another rank has failed, or has asked for something else at this place.
  func start(_ collective: Collective) throws(CommunicationError) -> Pending

  /// Ranks that give the same colour become a group, in order of key and then of rank. All ranks of this group
  /// call it.
  func split(colour: Int, key: Int, name: String) throws(CommunicationError) -> any Communicator

  /// What has gone over this group from this rank since it was made.
  var counters: CommunicationCounters { get }

  /// From now on tells `observer` of each transfer that this rank has waited for; nil ends that.
  func observe(_ observer: (@Sendable (Flight) -> Void)?)
}

extension Communicator {
  /// A collective from start to end.
  package func run(_ collective: Collective) throws(CommunicationError) {
    try start(collective).wait()
  }

  /// Returns when all ranks of the group have called it.
  package func barrier(label: String = "") throws(CommunicationError) {
    try run(Collective(.barrier, count: 0, type: .uint8, label: label))
  }
}
