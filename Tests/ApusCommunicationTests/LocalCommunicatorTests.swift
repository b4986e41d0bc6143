import ApusCommunication
import ApusCore
import CollectiveCases
import Foundation
import Testing

@Suite struct LocalCommunicatorTests {
  @Test(arguments: [1, 2, 3, 4, 7, 8])
  func everyPrimitive(ranks: Int) throws {
    _ = try LocalRanks.run(ranks, stallLimit: 20) { try CollectiveCases($0.data).runAll() }
  }

  @Test func onTheControlPlane() throws {
    _ = try LocalRanks.run(3, stallLimit: 20) { try CollectiveCases($0.control).runAll() }
  }

  /// The appendix's barrier: rank r sleeps r seconds (here tenths), all pass when the last has come.
  @Test func barrierWaitsForTheLast() throws {
    let start = DispatchTime.now().uptimeNanoseconds
    let passed = try LocalRanks.run(3) { world in
      Thread.sleep(forTimeInterval: 0.1 * Double(world.rank))
      try world.data.barrier()
      return Double(DispatchTime.now().uptimeNanoseconds - start) / 1e9
    }
    #expect(passed.min()! >= 0.2)
  }

  /// A rank that waits finds its share of the work done by the others.
  @Test func workIsSharedByThoseWhoWait() throws {
    let counted = try LocalRanks.run(2) { world in
      let count = 1 << 20
      let memory = UnsafeMutablePointer<Float>.allocate(capacity: count)
      defer { memory.deallocate() }
      memory.initialize(repeating: 1, count: count)
      let pending = try world.data.start(
        Collective(.allReduce, from: memory, to: memory, count: count, type: .float32, label: "x"))
      if world.rank == 0 { Thread.sleep(forTimeInterval: 0.5) }
      try pending.wait()
      return world.data.counters[.allReduce]
    }
    #expect(counted[0].exposedSeconds < 0.3)
    #expect(counted[0].hiddenSeconds > 0)
    #expect(counted[1].hiddenSeconds == 0)
  }

  @Test func sumsGoInOrderOfRank() throws {
    // In this order 1e8 + 1 - 1e8 + 1 = 1 in float32; in others 0 or 2.
    let numbers: [Float] = [1e8, 1, -1e8, 1]
    let sums = try LocalRanks.run(4) { try $0.data.allReduce([numbers[$0.rank]])[0] }
    #expect(sums == [1, 1, 1, 1])
  }

  @Test func waitingRanksSleep() throws {
    let used = try LocalRanks.run(6) { world in
      if world.rank == 0 { Thread.sleep(forTimeInterval: 0.5) }
      try world.data.barrier()
      return Double(Self.threadNanoseconds()) / 1e9
    }
    #expect(used.max()! < 0.1)
  }

  /// Processor time that the calling thread has used, in nanoseconds.
  private static func threadNanoseconds() -> Int {
    var time = timespec()
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
    return time.tv_sec * 1_000_000_000 + time.tv_nsec
  }
}
