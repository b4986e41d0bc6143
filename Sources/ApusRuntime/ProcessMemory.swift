import CApusWatch
import Foundation

/// What the operating system says about this process.
package enum ProcessMemory {
  /// The most physical memory the process has held at once, bytes (`VmHWM`); 0 where unknown.
  package static var peakResidentBytes: Int { field("VmHWM:") }

  /// Bytes that the allocator has handed out and not got back, in its heaps and in mappings of its own; the arena is
  /// none of its.
  package static var heapBytes: Int { Int(apus_heap_bytes()) }

  /// Page faults of this process that needed no disk: memory touched for the first time.
  package static var minorPageFaults: Int {
    var usage = rusage()
    getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
    return usage.ru_minflt
  }

  private static func field(_ name: String) -> Int {
    guard let data = FileManager.default.contents(atPath: "/proc/self/status") else { return 0 }
    for line in String(decoding: data, as: UTF8.self).split(separator: "\n") where line.hasPrefix(name) {
      return line.split(whereSeparator: { $0 == " " || $0 == "\t" }).dropFirst().first.flatMap { Int($0) }
        .map { $0 * 1024 } ?? 0
    }
    return 0
  }
}
