import ApusCore

/// A caching allocator as PyTorch's for CUDA works: it asks the device for segments, hands out blocks of them, and
/// keeps what is freed (domain reference S8).
///
/// Sizes are rounded up to 512 bytes. Up to 1 MiB, blocks come from segments of 2 MiB; from there to 10 MiB from
/// segments of 20 MiB; larger ones get a segment of their own, rounded up to 2 MiB. The smallest free block that
/// is large enough is taken, the lowest of equals; what is left of it is split off, at least 512 bytes in the
/// small pool, more than 1 MiB in the large one. A freed block merges with its free neighbours.
///
/// Source: PyTorch 2's documentation of CUDA memory management and the constants named in it; one stream.
package struct CachingAllocator: Sendable {
  package static let roundTo = 512
  package static let smallLimit = 1 << 20
  package static let smallSegment = 2 << 20
  package static let middleSegment = 20 << 20
  package static let middleLimit = 10 << 20
  package static let largeRound = 2 << 20

  /// What happened in one stretch, such as a step.
  package struct Counts: Hashable, Sendable {
    /// Requests served from blocks that were kept.
    package var hits = 0
    /// Requests for which the device had to give a segment.
    package var misses = 0
    package var peakAllocated = 0
    package var peakReserved = 0
    /// Of the bytes asked for, before any rounding.
    package var peakRequested = 0
    /// Times that kept segments were given back to make room.
    package var flushes = 0
  }

  /// The device is full even after every free segment was given back.
  package struct OutOfMemory: Error, Hashable, Sendable {
    package let asked, allocated, reserved, capacity: Int
  }

  private struct Block {
    var segment: Int
    var offset: Int
    var byteCount: Int
    /// What its user asked for; 0 while free.
    var requested = 0
    var isFree = false
    var previous: Int?
    var next: Int?
  }

  private struct Segment {
    var byteCount: Int
    var isSmall: Bool
  }

  /// Order of the free blocks of a pool: by size, then by place.
  private struct FreeKey: Hashable, Comparable {
    var byteCount: Int
    var segment: Int
    var offset: Int
    var block: Int

    static func < (a: FreeKey, b: FreeKey) -> Bool {
      (a.byteCount, a.segment, a.offset) < (b.byteCount, b.segment, b.offset)
    }
  }

  private let capacity: Int
  private var segments: [Int: Segment] = [:]
  private var segmentCount = 0
  private var blocks: [Block] = []
  private var unusedBlocks: [Int] = []
  /// Sorted; small pool, large pool.
  private var free: [[FreeKey]] = [[], []]
  /// Bytes asked for by the users of the blocks in use, bytes of those blocks, and of all segments.
  package private(set) var requested = 0
  package private(set) var allocated = 0
  package private(set) var reserved = 0
  package private(set) var counts = Counts()

  /// - Parameter capacity: bytes of the device.
  package init(capacity: Int = .max) { self.capacity = capacity }

  /// What happened since the last call; peaks start again from what is held now.
  package mutating func takeCounts() -> Counts {
    defer {
      counts = Counts()
      counts.peakRequested = requested
      counts.peakAllocated = allocated
      counts.peakReserved = reserved
    }
    return counts
  }

  /// Allocates; returns the block's number.
  package mutating func allocate(_ bytes: Int) throws(OutOfMemory) -> Int {
    let size = max(Self.roundTo, rounded(bytes, Self.roundTo))
    let isSmall = size <= Self.smallLimit
    let pool = isSmall ? 0 : 1
    let block: Int
    if let index = firstFree(pool, size) {
      block = free[pool].remove(at: index).block
      counts.hits += 1
    } else {
      block = try newSegment(for: size, isSmall: isSmall)
      counts.misses += 1
    }
    blocks[block].isFree = false
    split(block, keeping: size, isSmall: isSmall)
    blocks[block].requested = bytes
    requested += bytes
    allocated += blocks[block].byteCount
    counts.peakRequested = max(counts.peakRequested, requested)
    counts.peakAllocated = max(counts.peakAllocated, allocated)
    return block
  }

  /// Gives a block back to its pool.
  package mutating func release(_ block: Int) {
    require(!blocks[block].isFree, "allocator: block \(block) is freed twice")
    requested -= blocks[block].requested
    blocks[block].requested = 0
    allocated -= blocks[block].byteCount
    let pool = segments[blocks[block].segment]?.isSmall == true ? 0 : 1
    blocks[block].isFree = true
    var block = block
    if let previous = blocks[block].previous, blocks[previous].isFree {
      block = join(previous, block, pool)
    }
    if let next = blocks[block].next, blocks[next].isFree { block = join(block, next, pool) }
    insert(block, pool)
  }

  private func key(_ block: Int) -> FreeKey {
    FreeKey(
      byteCount: blocks[block].byteCount, segment: blocks[block].segment, offset: blocks[block].offset,
      block: block)
  }

  /// Position in the sorted list at or after which keys are not below `key`.
  private func position(_ pool: Int, _ key: FreeKey) -> Int {
    var (low, high) = (0, free[pool].count)
    while low < high {
      let middle = (low + high) / 2
      if free[pool][middle] < key { low = middle + 1 } else { high = middle }
    }
    return low
  }

  private func firstFree(_ pool: Int, _ size: Int) -> Int? {
    let index = position(pool, FreeKey(byteCount: size, segment: -1, offset: -1, block: -1))
    return index < free[pool].count ? index : nil
  }

  private mutating func insert(_ block: Int, _ pool: Int) {
    let key = key(block)
    free[pool].insert(key, at: position(pool, key))
  }

  private mutating func remove(_ block: Int, _ pool: Int) {
    free[pool].remove(at: position(pool, key(block)))
  }

  /// Two neighbours become one; the one that was in the pool leaves it. Returns the first's number.
  private mutating func join(_ first: Int, _ second: Int, _ pool: Int) -> Int {
    for block in [first, second] where isListed(block, pool) { remove(block, pool) }
    blocks[first].byteCount += blocks[second].byteCount
    blocks[first].next = blocks[second].next
    if let after = blocks[second].next { blocks[after].previous = first }
    unusedBlocks.append(second)
    return first
  }

  private func isListed(_ block: Int, _ pool: Int) -> Bool {
    let index = position(pool, key(block))
    return index < free[pool].count && free[pool][index].block == block
  }

  private mutating func split(_ block: Int, keeping size: Int, isSmall: Bool) {
    let rest = blocks[block].byteCount - size
    guard isSmall ? rest >= Self.roundTo : rest > Self.smallLimit else { return }
    let remainder = newBlock(
      Block(
        segment: blocks[block].segment, offset: blocks[block].offset + size, byteCount: rest, isFree: true,
        previous: block, next: blocks[block].next))
    if let after = blocks[block].next { blocks[after].previous = remainder }
    blocks[block].next = remainder
    blocks[block].byteCount = size
    insert(remainder, isSmall ? 0 : 1)
  }

  private mutating func newBlock(_ block: Block) -> Int {
    if let number = unusedBlocks.popLast() {
      blocks[number] = block
      return number
    }
    blocks.append(block)
    return blocks.count - 1
  }

  private mutating func newSegment(for size: Int, isSmall: Bool) throws(OutOfMemory) -> Int {
    let bytes =
      isSmall
      ? Self.smallSegment
      : size < Self.middleLimit ? Self.middleSegment : rounded(size, Self.largeRound)
    if reserved + bytes > capacity { giveBack() }
    guard reserved + bytes <= capacity else {
      throw OutOfMemory(asked: size, allocated: allocated, reserved: reserved, capacity: capacity)
    }
    segments[segmentCount] = Segment(byteCount: bytes, isSmall: isSmall)
    reserved += bytes
    counts.peakReserved = max(counts.peakReserved, reserved)
    segmentCount += 1
    return newBlock(Block(segment: segmentCount - 1, offset: 0, byteCount: bytes, isFree: true))
  }

  /// Returns every segment without a block in use to the device.
  private mutating func giveBack() {
    counts.flushes += 1
    for pool in 0..<2 {
      free[pool].removeAll { key in
        guard segments[key.segment]?.byteCount == key.byteCount else { return false }
        segments[key.segment] = nil
        reserved -= key.byteCount
        unusedBlocks.append(key.block)
        return true
      }
    }
  }
}

/// Up to the next multiple.
private func rounded(_ bytes: Int, _ multiple: Int) -> Int {
  (bytes + multiple - 1) / multiple * multiple
}
