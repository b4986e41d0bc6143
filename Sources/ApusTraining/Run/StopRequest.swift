import Foundation
import Synchronization

/// A wish to stop, from Ctrl-C, a batch system, a launcher or a lost terminal: the run finishes its step, saves and
/// ends. A second signal ends the process at once.
package enum StopRequest {
  /// The signal that asked; 0 = none yet.
  private static let requested = Atomic<Int32>(0)

  /// Listens to SIGINT, SIGTERM, SIGHUP and SIGUSR1 from now on.
  package static func listen() {
    signal(SIGXFSZ, SIG_IGN)  // Too large a file is an ordinary write error.
    for number in [SIGINT, SIGTERM, SIGHUP, SIGUSR1] {
      signal(number) { number in
        StopRequest.requested.store(number, ordering: .relaxed)
        signal(number, SIG_DFL)
      }
    }
  }

  package static var isPending: Bool { requested.load(ordering: .relaxed) != 0 }

  /// What a process that was stopped reports: 128 and the signal's number. SIGUSR1, by which launchers and batch
  /// systems ask ahead of time, is no failure, nor is a stop that another rank was asked for.
  package static var exitStatus: Int32 {
    let number = requested.load(ordering: .relaxed)
    return number == 0 || number == SIGUSR1 ? 0 : 128 + number
  }
}
