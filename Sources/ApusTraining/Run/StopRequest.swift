import Foundation
import Synchronization

/// A wish to stop, from Ctrl-C or a batch system: the run finishes its step, saves and ends. A second signal
/// ends the process at once.
package enum StopRequest {
  private static let requested = Atomic<Bool>(false)

  /// Listens to SIGINT and SIGTERM from now on.
  package static func listen() {
    for number in [SIGINT, SIGTERM] {
      signal(number) { number in
        StopRequest.requested.store(true, ordering: .relaxed)
        signal(number, SIG_DFL)
      }
    }
  }

  package static var isPending: Bool { requested.load(ordering: .relaxed) }
}
