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

  /// Turns this process into `mpirun`; returns only to throw.
  package static func replaceThisProcess(ranks: Int, arguments: [String]) throws(CommunicationError) {
    let program =
      (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe"))
      ?? CommandLine.arguments[0]
    let words = command(ranks, program: program, arguments: arguments)
    var pointers: [UnsafeMutablePointer<CChar>?] = words.map { strdup($0) } + [nil]
    execvp(words[0], &pointers)
    throw .launch(
      "cannot start mpirun: \(String(cString: strerror(errno))); install openmpi-bin, or use --launch threads"
    )
  }
}
