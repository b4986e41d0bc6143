import Foundation

/// A child process in a process group of its own, so that everything it starts can be ended with it.
package struct ChildProcess {
  package enum Ending: Hashable, Sendable {
    case exited(Int32)
    case killed(signal: Int32)
    case timedOut
  }

  /// What a child that was asked to end is given before it is killed.
  private static let grace = 3.0

  private let process: pid_t

  /// Starts a program; what it prints goes to a file.
  package init(_ program: String, _ words: [String], output: String) throws(CommandError) {
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
    posix_spawn_file_actions_addopen(&actions, 1, output, O_WRONLY | O_CREAT | O_TRUNC, 0o644)
    posix_spawn_file_actions_adddup2(&actions, 1, 2)
    var attributes = posix_spawnattr_t()
    posix_spawnattr_init(&attributes)
    defer { posix_spawnattr_destroy(&attributes) }
    posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETPGROUP))
    posix_spawnattr_setpgroup(&attributes, 0)
    var arguments = ([program] + words).map { strdup($0) }
    arguments.append(nil)
    defer { for argument in arguments { free(argument) } }
    var process: pid_t = 0
    let code = posix_spawn(&process, program, &actions, &attributes, &arguments, environ)
    guard code == 0 else {
      throw CommandError.input(
        path: program, problem: "cannot be started: \(String(cString: strerror(code)))")
    }
    self.process = process
  }

  /// Waits; after the timeout asks the group to end, and kills what is left of it in any case.
  ///
  /// - Parameter stop: looked at between waits; when true the child is ended as after a timeout.
  package func wait(timeout seconds: Double, stop: () -> Bool) -> Ending {
    let start = DispatchTime.now().uptimeNanoseconds
    func passed() -> Double { Double(DispatchTime.now().uptimeNanoseconds - start) / 1e9 }
    defer { kill(-process, SIGKILL) }
    var asked: Double?
    while true {
      var status: Int32 = 0
      if waitpid(process, &status, WNOHANG) == process {
        if asked != nil { return .timedOut }
        let signal = status & 0x7F
        return signal == 0 ? .exited((status >> 8) & 0xFF) : .killed(signal: signal)
      }
      if let asked {
        if passed() > asked + Self.grace { kill(-process, SIGKILL) }
      } else if passed() > seconds || stop() {
        kill(-process, SIGTERM)
        asked = passed()
      }
      usleep(10_000)
    }
  }
}

/// Notes that the user wants to stop, so that children are ended before the program is.
final class StopNotice: Sendable {
  // A dispatch source is thread safe but not marked so; it is only cancelled, once.
  nonisolated(unsafe) private let sources: [any DispatchSourceSignal]
  private let flag: Flag

  private final class Flag: Sendable {
    private let lock = NSLock()
    // Guarded by `lock`.
    nonisolated(unsafe) private var value: Int32?

    var signal: Int32? { lock.withLock { value } }
    func set(_ signal: Int32) { lock.withLock { value = value ?? signal } }
  }

  /// Listens to interrupt and termination from now on.
  init() {
    let flag = Flag()
    self.flag = flag
    sources = [SIGINT, SIGTERM].map { number in
      signal(number, SIG_IGN)
      let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
      source.setEventHandler { flag.set(number) }
      source.resume()
      return source
    }
  }

  /// The first signal that came.
  var firstSignal: Int32? { flag.signal }
  var isAsked: Bool { firstSignal != nil }

  deinit {
    for source in sources { source.cancel() }
    for number in [SIGINT, SIGTERM] { signal(number, SIG_DFL) }
  }
}
