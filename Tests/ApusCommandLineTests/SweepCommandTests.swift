import Foundation
import Testing
import apus_cli

@Suite struct ChildProcessTests {
  private func log() -> String {
    FileManager.default.temporaryDirectory.appendingPathComponent("child-\(UUID()).log").path
  }

  @Test func endings() throws {
    let path = log()
    defer { try? FileManager.default.removeItem(atPath: path) }
    let good = try ChildProcess("/bin/sh", ["-c", "echo said; exit 3"], output: path)
    #expect(good.wait(timeout: 10, stop: { false }) == .exited(3))
    #expect(try String(contentsOfFile: path, encoding: .utf8) == "said\n")
    let killed = try ChildProcess("/bin/sh", ["-c", "kill -9 $$"], output: path)
    #expect(killed.wait(timeout: 10, stop: { false }) == .killed(signal: SIGKILL))
    #expect(throws: (any Error).self) { _ = try ChildProcess("/nonexistent", [], output: path) }
  }

  /// After a timeout, and after a stop, nothing that the child started is left.
  @Test(arguments: [false, true]) func nothingIsLeft(stops: Bool) throws {
    let path = log()
    defer { try? FileManager.default.removeItem(atPath: path) }
    let child = try ChildProcess(
      "/bin/sh", ["-c", "sleep 600 & echo $!; wait"], output: path)
    let ending = child.wait(timeout: stops ? 60 : 0.3) {
      stops && !((try? String(contentsOfFile: path, encoding: .utf8)) ?? "").isEmpty
    }
    #expect(ending == .timedOut)
    let text = try String(contentsOfFile: path, encoding: .utf8)
    let grandchild = try #require(pid_t(text.trimmingCharacters(in: .whitespacesAndNewlines)))
    // Gone, or a zombie that nobody has waited for yet.
    let state = (try? String(contentsOfFile: "/proc/\(grandchild)/stat", encoding: .utf8)) ?? ""
    #expect(state.isEmpty || state.contains(") Z "))
  }
}
