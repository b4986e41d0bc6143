/// A transfer in flight as its transport knows it.
package protocol Transfer: AnyObject {
  /// Blocks until the transfer is over on this rank; called once.
  func finish() throws(CommunicationError)
  /// The rank goes on without having waited: the group cannot. Called after `finish` too, when it does nothing.
  func drop()
}

/// A collective in flight, which must be waited for. Dropping it, as an error does that is thrown between start
/// and wait, ends the run: the other ranks would wait for ever.
package struct Pending: ~Copyable {
  private let transfer: any Transfer

  package init(_ transfer: any Transfer) { self.transfer = transfer }

  /// Blocks, without using the processor, until the collective is over on this rank: outputs hold the results
  /// and all buffers are the caller's again.
  ///
  /// - Throws: when a rank has failed or has not come within the world's stall limit.
  package consuming func wait() throws(CommunicationError) { try transfer.finish() }

  deinit { transfer.drop() }
}

/// A collective in a group of one: over as soon as it is started.
final class NoTransfer: Transfer {
  func finish() {}
  func drop() {}
}
