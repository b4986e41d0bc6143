import Foundation
import Synchronization

/// A wish to stop, from Ctrl-C, a batch system or a lost terminal: the run finishes its step, saves and ends. A second signal
/// ends the process at once.
package enum StopRequest {
  private static let requested = Atomic<Bool>(false)

  /// Listens to SIGINT, SIGTERM and SIGHUP from now on.
  package static func listen() {
    signal(SIGXFSZ, SIG_IGN)  // Too large a file is an ordinary write error.
    for number in [SIGINT, SIGTERM, SIGHUP] {
      signal(number) { number in
        StopRequest.requested.store(true, ordering: .relaxed)
        signal(number, SIG_DFL)
      }
    }
  }

  package static var isPending: Bool { requested.load(ordering: .relaxed) }
}
