import ApusCore
import ApusForesight
import ApusModels
import ApusProgram
import Testing

@Suite struct CachingAllocatorTests {
  private let mebibyte = 1 << 20

  /// Sizes of segments: 2 MiB for small blocks, 20 MiB up to 10, then rounded up to 2 MiB.
  @Test func segments() throws {
    var allocator = CachingAllocator()
    _ = try allocator.allocate(1)
    #expect(allocator.allocated == 512 && allocator.reserved == 2 * mebibyte)
    _ = try allocator.allocate(mebibyte)
    #expect(allocator.reserved == 2 * mebibyte, "1 MiB fits beside the 512 bytes")
    _ = try allocator.allocate(mebibyte + 1)
    #expect(allocator.reserved == 22 * mebibyte)
    _ = try allocator.allocate(10 * mebibyte)
    #expect(allocator.reserved == 22 * mebibyte, "10 MiB fit into what is left of the 20")
    _ = try allocator.allocate(11 * mebibyte)
    #expect(allocator.reserved == 34 * mebibyte)
    #expect(allocator.counts.hits == 2 && allocator.counts.misses == 3)
  }

  /// Freed neighbours merge, the smallest block that suffices is taken, and a remainder of up to 1 MiB is not split
  /// off in the large pool.
  @Test func mergingAndBestFit() throws {
    var allocator = CachingAllocator()
    let blocks = try [6, 6, 8].map { try allocator.allocate($0 * mebibyte) }
    #expect(allocator.reserved == 20 * mebibyte)
    allocator.release(blocks[0])
    allocator.release(blocks[1])
    let merged = try allocator.allocate(12 * mebibyte)
    #expect(allocator.reserved == 20 * mebibyte, "6 + 6 merged")
    allocator.release(merged)
    allocator.release(blocks[2])
    let whole = try allocator.allocate(20 * mebibyte - 512)
    #expect(allocator.reserved == 20 * mebibyte)
    #expect(allocator.allocated == 20 * mebibyte, "a remainder of 512 bytes stays with the block")
    allocator.release(whole)
    #expect(allocator.allocated == 0)
  }

  @Test func fullDevice() throws {
    var allocator = CachingAllocator(capacity: 40 * mebibyte)
    let first = try allocator.allocate(30 * mebibyte)
    allocator.release(first)
    // 30 MiB kept do not help 35; they are given back first.
    let second = try allocator.allocate(35 * mebibyte)
    #expect(allocator.counts.flushes == 1)
    #expect(allocator.reserved == 36 * mebibyte)
    #expect(throws: CachingAllocator.OutOfMemory.self) { try allocator.allocate(5 * mebibyte) }
    allocator.release(second)
  }

  /// Against a plain list of bytes in use: whatever is allocated and freed, blocks are disjoint and accounts right.
  @Test func accounts() throws {
    var allocator = CachingAllocator()
    var random = SystemRandomNumberGeneratorWithSeed(state: 7)
    var held: [(block: Int, size: Int)] = []
    for _ in 0..<4000 {
      if held.isEmpty || random.next() % 100 < 55 {
        let size = Int(random.next() % UInt64(random.next() % 3 == 0 ? 40 * mebibyte : 2 * mebibyte)) + 1
        held.append((try allocator.allocate(size), size))
      } else {
        let index = Int(random.next() % UInt64(held.count))
        allocator.release(held.remove(at: index).block)
      }
      #expect(Set(held.map(\.block)).count == held.count)
      let least = held.reduce(0) { $0 + ($1.size + 511) / 512 * 512 }
      #expect(allocator.allocated >= least && allocator.allocated <= least + held.count * mebibyte)
      #expect(allocator.allocated <= allocator.reserved)
    }
    for (block, _) in held { allocator.release(block) }
    #expect(allocator.allocated == 0)
  }
}

/// A reproducible sequence (Steele et al. 2014, SplitMix64).
private struct SystemRandomNumberGeneratorWithSeed {
  var state: UInt64

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }
}

@Suite struct AllocationReplayTests {
  private func replay(_ microbatches: Int = 1, capacity: Int = .max) throws -> (AllocationReplay, StepProgram)
  {
    let model = ModelConfiguration(
      family: .llama, vocabularySize: 2000, maximumSequenceLength: 256, layerCount: 6, hiddenSize: 256,
      headCount: 4, keyValueHeadCount: 2, intermediateSize: 704, tiedEmbeddings: false)
    var settings = TrainingProgramSettings(microBatchSize: 4, sequenceLength: 256)
    settings.evaluates = false
    let program = StepProgram.training(model, settings)
    let replay = AllocationReplay(
      program, steps: 4, microbatches: microbatches, workspace: { _ in 4096 }, capacity: capacity)
    return (replay, program)
  }

  /// Domain reference S8: optimizer states appear in step 1's update, so later steps peak higher by them; later steps
  /// are served from what is kept.
  @Test func firstAndLaterSteps() throws {
    let (replay, program) = try replay()
    #expect(replay.failure == nil && replay.steps.count == 4)
    let states = program.byteCount(of: .optimizerState)
    let persistent = Role.allCases.filter { $0.isPersistent && $0 != .cache }
      .reduce(0) { $0 + program.byteCount(of: $1) }
    #expect(replay.steps.allSatisfy { $0.requested == persistent })
    // Blocks of the large pool keep a remainder of up to 1 MiB.
    #expect(replay.steps.allSatisfy { $0.allocated >= persistent && $0.allocated <= $0.reserved })
    let asked = replay.steps.map(\.counts.peakRequested)
    #expect(asked[1] - asked[0] == states)
    let peaks = replay.steps.map(\.counts.peakAllocated)
    #expect(peaks[1] == peaks[2] && peaks[2] == peaks[3])
    #expect(replay.ready.counts.misses > 0 && replay.steps[0].counts.misses > 0)
    #expect(replay.steps[2...].allSatisfy { $0.counts.misses == 0 && $0.hitRate == 1 })
    #expect(replay.steps.allSatisfy { $0.counts.peakReserved >= $0.counts.peakAllocated })
  }

  /// From the second micro-batch on all gradients are there from the start; more micro-batches need no more.
  @Test func accumulationNeedsTheGradients() throws {
    let (one, program) = try replay()
    let (two, _) = try replay(2)
    let (four, _) = try replay(4)
    let asked = [one, two, four].map { $0.steps[3].counts.peakRequested }
    #expect(asked[1] > asked[0] && asked[1] < asked[0] + program.byteCount(of: .gradient))
    #expect(asked[1] == asked[2] && two.peakAllocated == four.peakAllocated)
    #expect(four.steps[0].counts.hits > 3 * one.steps[0].counts.hits)
  }

  /// A device between the peaks of step 1 and step 2 passes the first and fails in the second.
  @Test func failsInTheSecondStep() throws {
    let (whole, _) = try replay()
    let peaks = whole.steps.map(\.counts.peakReserved)
    #expect(peaks[1] > peaks[0])
    let (short, _) = try replay(1, capacity: peaks[0])
    let failure = try #require(short.failure)
    #expect(failure.step == 2 && short.steps.count == 1)
    #expect(!failure.tensor.isEmpty && failure.asked > 0)
  }
}
