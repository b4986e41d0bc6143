import ApusCommunication
import ApusCore
import Foundation
import Synchronization
import Testing

/// Ranks of one process that end early or do not come.
@Suite struct LocalFailureTests {
  private struct Broken: Error {}

  @Test func aRankThatThrowsEndsTheOthers() throws {
    let seen = Mutex<[CommunicationError]>([])
    #expect(throws: Broken.self) {
      try LocalRanks.run(4, stallLimit: 30) { world in
        world.status.begin(step: 17)
        try world.data.barrier(label: "start")
        if world.rank == 2 { throw Broken() }
        do {
          try world.data.barrier(label: "end")
        } catch let error as CommunicationError {
          seen.withLock { $0.append(error) }
          throw error
        }
      }
    }
    let expected = CommunicationError.rankFailed(
      rank: 2, activity: RankActivity(step: 17, collective: "barrier of start (world)", hasLeft: true),
      reason: "Broken()")
    #expect(seen.withLock { $0 } == [expected, expected, expected])
    #expect(
      "\(expected)" == "rank 2 failed at step 17, after barrier of start (world): Broken()")
  }

  @Test func groupsSplitFromTheWorldFailToo() throws {
    #expect(throws: Broken.self) {
      try LocalRanks.run(4, stallLimit: 30) { world in
        let pair = try world.data.split(colour: world.rank / 2, key: world.rank, name: "tensor")
        if world.rank == 1 { throw Broken() }
        try pair.barrier()
        try world.control.barrier()
      }
    }
  }

  @Test func aRankThatStallsIsNamed() throws {
    let clock = ContinuousClock()
    let release = DispatchSemaphore(value: 0)
    let start = clock.now
    #expect {
      try LocalRanks.run(3, stallLimit: 0.3) { world in
        world.status.begin(step: 5)
        if world.rank == 1 { release.wait() }
        try world.data.barrier(label: "gradients")
      }
    } throws: { error in
      guard case .rankStalled(let rank, let activity, let waitingIn, _) = error as? CommunicationError else {
        return false
      }
      return rank == 1 && activity.step == 5 && waitingIn == "barrier of gradients (world)"
    }
    #expect(clock.now - start < .seconds(3))
    release.signal()
  }

  @Test func anErrandIsNoStall() throws {
    _ = try LocalRanks.run(2, stallLimit: 0.2) { world in
      if world.rank == 0 {
        world.status.onErrand("writing a checkpoint") { Thread.sleep(forTimeInterval: 0.8) }
      }
      try world.data.barrier()
    }
  }

  @Test func differentRequestsAreRefused() throws {
    #expect {
      try LocalRanks.run(2) { world in
        _ = try world.data.allReduce([Float](repeating: 1, count: world.rank + 1), label: "loss")
      }
    } throws: { error in
      "\(error)".contains("do not do the same")
        && "\(error)".contains("asks for all-reduce of loss, 2 float32")
    }
  }

  @Test func aDroppedCollectiveEndsTheRun() throws {
    #expect(throws: CommunicationError.self) {
      try LocalRanks.run(2, stallLimit: 10) { world in
        let memory = UnsafeMutablePointer<Float>.allocate(capacity: 1)
        defer { memory.deallocate() }
        memory.initialize(to: 1)
        let pending = try world.data.start(
          Collective(.allReduce, from: memory, to: memory, count: 1, type: .float32, label: "x"))
        if world.rank == 0 { return }
        Thread.sleep(forTimeInterval: 0.05)
        try pending.wait()
        try world.data.barrier()
      }
    }
  }

  /// Ranks that fail at random points of random collectives never hang and never touch freed memory.
  @Test func randomFailures() throws {
    for seed in 0..<60 {
      #expect(throws: Broken.self) {
        try LocalRanks.run(3, stallLimit: 10) { world in
          let count = 1 << 16
          for step in 0..<20 {
            let memory = UnsafeMutablePointer<Float>.allocate(capacity: count)
            defer { memory.deallocate() }
            memory.initialize(repeating: 1, count: count)
            let pending = try world.data.start(
              Collective(.allReduce, from: memory, to: memory, count: count, type: .float32, label: "x"))
            if world.rank == seed % 3, step == seed % 17 { throw Broken() }
            try pending.wait()
          }
        }
      }
    }
  }
}
