import ApusCore
import ApusRuntime
import Foundation

/// Where and with what a run was made: enough to try it again.
package struct RunFacts: Codable, Hashable, Sendable {
  package var command: [String]
  package var started: String
  package var apusVersion: String
  package var compiler: String
  package var arithmetic: String
  package var operatingSystem: String
  package var processor: String
  package var cores: Int
  package var threads: Int
  package var memoryBytes: Int
  /// The step as it was foreseen, and at the end of the run as it was measured.
  package var step: StepComparison?

  /// The version of Apus, the same everywhere it is shown.
  package static let version = "0.1.0"

  package init(command: [String], threads: Int) {
    self.command = command
    started = Date().formatted(.iso8601)
    apusVersion = Self.version
    #if compiler(>=6.4)
      compiler = "Swift 6.4 or newer"
    #else
      compiler = "Swift 6.3"
    #endif
    arithmetic = ArithmeticLibrary.description
    operatingSystem = ProcessInfo.processInfo.operatingSystemVersionString
    processor = Self.processorName
    cores = ProcessInfo.processInfo.activeProcessorCount
    self.threads = threads
    memoryBytes = Int(ProcessInfo.processInfo.physicalMemory)
  }

  private static var processorName: String {
    let text = FileManager.default.contents(atPath: "/proc/cpuinfo").map {
      String(decoding: $0, as: UTF8.self)
    }
    let line = text?.split(separator: "\n").first { $0.hasPrefix("model name") }
    return line?.split(separator: ":").last.map { $0.trimmingCharacters(in: .whitespaces) } ?? "unknown"
  }
}
