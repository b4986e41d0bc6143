import ApusCommunication
import ApusCore
import ApusProgram
import CApusKernels
import CApusWatch
import Foundation

extension Executor {
  /// When an instruction ran, in nanoseconds of the system's uptime.
  package struct Span: Hashable, Sendable {
    package var instruction: Int
    package var start: UInt64
    package var end: UInt64

    package var seconds: Double { Double(end - start) / 1e9 }
  }

  /// As `run`, telling when each instruction ran.
  package func run(
    _ kind: Segment.Kind, microbatch: Int, isLast: Bool = true, observe: (Span) -> Void
  ) throws(CommunicationError) {
    for (index, (kernel, condition)) in kernels(kind, microbatch).enumerated()
    where condition.holds(isLast: isLast) {
      let start = DispatchTime.now().uptimeNanoseconds
      try kernel(microbatch)
      observe(Span(instruction: index, start: start, end: DispatchTime.now().uptimeNanoseconds))
    }
  }

  /// Bytes of a watched chunk: pages, but so many of them that the system can keep the chunks of the whole arena
  /// apart (it holds about 65,000 separate mappings a process).
  package var watchedChunkByteCount: Int {
    let page = Int(sysconf(Int32(_SC_PAGESIZE)))
    return max(1, (plan.totalBytes / 30_000 + page - 1) / page) * page
  }

  /// As `run`, with the arena protected before each instruction, so that the first access to each chunk of
  /// `watchedChunkByteCount` bytes faults and shows. `observe` gets the position of the instruction and a note
  /// a chunk: 0, or what `ArenaAccess` names. Many times slower than `run`.
  ///
  /// - Throws: where the processor or system does not tell.
  package func runWatched(
    _ kind: Segment.Kind, microbatch: Int, observe: (Int, UnsafeBufferPointer<UInt8>) -> Void
  ) throws {
    let chunk = watchedChunkByteCount
    let bytes = (plan.totalBytes + chunk - 1) / chunk * chunk
    func check(_ status: Int32) throws(RuntimeFailure) {
      if status != 0 { throw .watching(reason: String(cString: strerror(status))) }
    }
    // The chunks end within the guard that is mapped behind the plan.
    let kernels = kernels(kind, microbatch)
    var arrivals = apus_watch_arrivals(threads: Int64(apus_thread_count()), arrived: 0)
    apus_parallel_for(arrivals.threads, apus_watch_join, &arrivals)
    try check(apus_watch_begin(arena.arena.base, min(bytes, plan.totalBytes + Arena.guardByteCount), chunk))
    defer { _ = apus_watch_end() }
    for (index, (kernel, _)) in kernels.enumerated() {
      try check(apus_watch_arm())
      try kernel(microbatch)
      try check(apus_watch_disarm())
      observe(index, UnsafeBufferPointer(start: apus_watch_notes(), count: bytes / chunk))
    }
  }
}

/// What a note of a watched chunk says.
package enum ArenaAccess {
  /// Read and not written.
  package static let read = UInt8(APUS_WATCH_READ)
  /// Written before anything was read: what it held was not needed.
  package static let written = UInt8(APUS_WATCH_WRITTEN)
  /// Read first, then written.
  package static let updated = UInt8(APUS_WATCH_UPDATED)
}
