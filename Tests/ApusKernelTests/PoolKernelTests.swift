import CApusKernels
import Testing

extension KernelTests {
  @Test("Each index is given out once, nested calls included", arguments: [1, 2, 4])
  func parallelFor(_ threads: Int) {
    apus_set_thread_count(Int32(threads))
    #expect(apus_thread_count() == Int32(threads))
    // Every task adds 1 to its own row of 50 counters through a nested call.
    var counters = [Int32](repeating: 0, count: 200 * 50)
    counters.withUnsafeMutableBytes { bytes in
      apus_parallel_for(
        200,
        { context, index in
          let row = context!.assumingMemoryBound(to: Int32.self) + Int(index) * 50
          apus_parallel_for(50, { $0!.assumingMemoryBound(to: Int32.self)[Int($1)] += 1 }, row)
        }, bytes.baseAddress!)
    }
    #expect(counters.allSatisfy { $0 == 1 })
    apus_parallel_for(0, { _, _ in Issue.record("called without work") }, nil)
  }
}
