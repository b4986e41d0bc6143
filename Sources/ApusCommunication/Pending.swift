import ApusCore

/// A transfer in flight as its transport knows it.
package protocol Transfer: AnyObject {
  /// Blocks until the transfer is over on this rank; called once.
  func finish() throws(CommunicationError)
  /// Whether nobody needs to wait for it any more: it is over, or its group has failed.
  var isOver: Bool { get }
}

/// A collective in flight. It must be waited for; dropping one that is under way is a mistake of ours and stops
/// the program.
package struct Pending: ~Copyable {
  private let transfer: any Transfer

  package init(_ transfer: any Transfer) { self.transfer = transfer }

  /// Blocks, without using the processor, until the collective is over on this rank: outputs hold the results
  /// and all buffers are the caller's again.
  ///
  /// - Throws: when a rank has failed or has not come within the world's stall limit.
  package consuming func wait() throws(CommunicationError) { try transfer.finish() }

  deinit { require(transfer.isOver, "a collective was started and never waited for") }
}
