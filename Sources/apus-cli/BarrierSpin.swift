import Foundation

/// How long the threads of OpenMP, whose pool the matrix library and the kernels share, spin at a barrier before they
/// sleep.
///
/// GNU's runtime spins about 3 ms, as long as a scheduler's time slice: where another process wants the cores, a
/// thread waits out its slice for one that cannot run meanwhile, and steps take twice as long as the shared cores
/// explain. It reads its settings when it is loaded, before any line of this program, so the program starts itself
/// once more with a shorter spin.
enum BarrierSpin {
  /// Turns of the waiting loop, about 60 µs: longer than most gaps between the kernels of a step.
  private static let turns = 5000
  private static let names = ["GOMP_SPINCOUNT", "OMP_WAIT_POLICY"]

  /// Does not return when the program starts again; does nothing where the environment already says how to wait.
  static func shorten() {
    guard names.allSatisfy({ getenv($0) == nil }),
      let program = try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
    else { return }
    setenv(names[0], "\(turns)", 1)
    // Returns only when it fails; then the program goes on as it is.
    execv(program, CommandLine.unsafeArgv)
  }
}
