import Foundation

/// Memory that a new process may still use on this machine.
package enum AvailableMemory {
  /// The kernel's estimate of what can be had without swapping, or less where a control group limits it;
  /// bytes.
  package static func byteCount() -> Int {
    min(systemAvailable() ?? Int.max, groupHeadroom() ?? Int.max)
  }

  private static func systemAvailable() -> Int? {
    guard let text = read("/proc/meminfo") else { return nil }
    for line in text.split(separator: "\n") where line.hasPrefix("MemAvailable:") {
      return line.split(separator: " ").dropFirst().first.flatMap { Int($0) }.map { $0 * 1024 }
    }
    return nil
  }

  private static func groupHeadroom() -> Int? {
    let candidates = [
      ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
      ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory/memory.usage_in_bytes"),
    ]
    for (limitPath, usedPath) in candidates {
      if let limit = number(limitPath), let used = number(usedPath), limit < 1 << 60 { return limit - used }
    }
    return nil
  }

  private static func number(_ path: String) -> Int? {
    read(path).flatMap { Int($0.trimmingCharacters(in: .whitespacesAndNewlines)) }
  }

  private static func read(_ path: String) -> String? {
    FileManager.default.contents(atPath: path).map { String(decoding: $0, as: UTF8.self) }
  }
}
