import CApusMPI
import Foundation

/// Starts a job of processes of this program with Open MPI's `mpirun`.
package enum MPILauncher {
  /// This process's arguments, without an option that takes a value.
  package static func ownArguments(without option: String) -> [String] {
    var kept: [String] = []
    var skipsNext = false
    for word in CommandLine.arguments.dropFirst() {
      if skipsNext {
        skipsNext = false
      } else if word == option {
        skipsNext = true
      } else if !word.hasPrefix(option + "=") {
        kept.append(word)
      }
    }
    return kept
  }

  /// What `mpirun` is given to start `ranks` processes of `program`.
  ///
  /// Ranks are not bound to cores, which Apus divides itself; more of them than cores are allowed; and what waits
  /// gives way: MPI at the start, and the threads of a rank at their barriers.
  package static func command(_ ranks: Int, program: String, arguments: [String]) -> [String] {
    ["mpirun", "-n", "\(ranks)", "--bind-to", "none", "--oversubscribe"]
      + ["--mca", "mpi_yield_when_idle", "1", "-x", "OMP_WAIT_POLICY=passive"]
      + (getuid() == 0 ? ["--allow-run-as-root"] : []) + [program] + arguments
  }

  /// Runs this program's arguments in a job of `ranks` processes and gives the job's exit status.
  ///
  /// `mpirun` kills its ranks two seconds after Ctrl-C, which is too early to save. So it runs in a process group of
  /// its own, and the first SIGINT, SIGTERM or SIGHUP of this process becomes a SIGUSR1, which it hands to all
  /// ranks and which asks them to stop. A second one ends the job at once.
  package static func run(ranks: Int, arguments: [String]) throws(CommunicationError) -> Int32 {
    let program =
      (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe"))
      ?? CommandLine.arguments[0]
    let words = command(ranks, program: program, arguments: arguments)
    let pointers: [UnsafeMutablePointer<CChar>?] = words.map { strdup($0) } + [nil]
    defer { for pointer in pointers { free(pointer) } }
    var signals = sigset_t()
    sigemptyset(&signals)
    for number in [SIGINT, SIGTERM, SIGHUP, SIGCHLD] { sigaddset(&signals, number) }
    pthread_sigmask(SIG_BLOCK, &signals, nil)
    let child = apus_spawn_group(pointers)
    guard child > 0 else {
      throw .launch(
        "cannot start mpirun: \(String(cString: strerror(errno))); install openmpi-bin, or use --launch threads"
      )
    }
    return wait(for: child, &signals)
  }

  /// Waits for `child`, handing on signals; gives its exit status, or 128 and the number of the signal that asked
  /// this process to stop.
  private static func wait(for child: pid_t, _ signals: inout sigset_t) -> Int32 {
    var asked: Int32 = 0
    while true {
      var status: Int32 = 0
      let ended = waitpid(child, &status, WNOHANG)
      if ended == child {
        if asked != 0 { return 128 + asked }
        let signal = status & 0x7f
        return signal == 0 ? (status >> 8) & 0xff : 128 + signal
      }
      var number: Int32 = 0
      guard sigwait(&signals, &number) == 0, number != SIGCHLD else { continue }
      kill(child, asked == 0 ? SIGUSR1 : SIGTERM)
      asked = number
    }
  }
}
