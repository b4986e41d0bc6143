import ApusCore
import ApusForesight
import ApusReport

/// What `apus estimate --allocator` says: the step on an allocator that caches (domain reference S8).
struct AllocatorText: Encodable {
  struct Step: Encodable {
    let step, hits, misses, peakAllocatedBytes, peakReservedBytes: Int

    enum CodingKeys: String, CodingKey {
      case step, hits, misses
      case peakAllocatedBytes = "peak_allocated_bytes"
      case peakReservedBytes = "peak_reserved_bytes"
    }
  }

  let steps: [Step]
  let peakAllocatedBytes, peakReservedBytes, plannedBytes: Int
  private let failure: AllocationReplay.Failure?

  enum CodingKeys: String, CodingKey {
    case steps
    case peakAllocatedBytes = "peak_allocated_bytes"
    case peakReservedBytes = "peak_reserved_bytes"
    case plannedBytes = "planned_bytes"
  }

  init(_ replay: AllocationReplay, planned: ByteCount) {
    steps = ([replay.ready] + replay.steps).enumerated().map { index, step in
      Step(
        step: index, hits: step.counts.hits, misses: step.counts.misses,
        peakAllocatedBytes: step.counts.peakAllocated, peakReservedBytes: step.counts.peakReserved)
    }
    peakAllocatedBytes = replay.peakAllocated
    peakReservedBytes = replay.peakReserved
    plannedBytes = planned.bytes
    failure = replay.failure
  }

  var text: String {
    var table = TextTable([
      .text("caching allocator"), .number("allocated, peak"), .number("reserved, peak"), .number("hits"),
      .number("misses"), .number("hit rate"),
    ])
    for step in steps {
      let requests = step.hits + step.misses
      let rate =
        requests > 0 ? (100 * Double(step.hits) / Double(requests)).formatted(decimals: 1) + " %" : ""
      table.add([
        step.step == 0 ? "weights ready" : "step \(step.step)", "\(ByteCount(step.peakAllocatedBytes))",
        "\(ByteCount(step.peakReservedBytes))", step.hits.grouped, step.misses.grouped, rate,
      ])
    }
    return table.description + verdict
  }

  private var verdict: String {
    if let failure {
      return """
        Out of memory in step \(failure.step), \(failure.segment): \(ByteCount(failure.asked)) for \
        \(failure.tensor), with \(ByteCount(failure.allocated)) allocated and \
        \(ByteCount(failure.reserved)) reserved.

        """
    }
    let gap = peakReservedBytes - peakAllocatedBytes
    return """
      Reserved exceeds allocated by \(ByteCount(gap)); Apus's own plan takes \(ByteCount(plannedBytes)), all of it \
      before step 1.

      """
  }
}
