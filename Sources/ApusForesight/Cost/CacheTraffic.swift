import ApusProgram

/// Which bytes of a step come from beyond a processor's cache: the arena's blocks in the order in which the step's
/// instructions touch them, through a cache that forgets what was used longest ago.
///
/// The plan fixes every address, so what is warm is known before anything runs. Blocks are coarse and the cache fully
/// associative: it is the working set that matters, not conflicts.
package struct CacheTraffic {
  /// Blocks of the cache by last use: a ring of links, `count` standing for both ends.
  private var next: [Int32]
  private var previous: [Int32]
  private var isHeld: [Bool]
  private var held = 0
  private let blockBytes: Int
  private let capacity: Int
  private var end: Int { isHeld.count }

  /// An empty cache of `capacity` bytes under an arena of `arenaBytes`.
  package init(capacity: Int, arenaBytes: Int) {
    // Fine enough for small tensors, and at most some ten thousand blocks.
    var block = 8 << 10
    while arenaBytes / block > 1 << 15 { block *= 2 }
    blockBytes = block
    self.capacity = max(1, capacity / block)
    let count = arenaBytes / block + 1
    next = Array(repeating: Int32(count), count: count + 1)
    previous = next
    isHeld = Array(repeating: false, count: count)
  }

  /// Notes that bytes of the arena are used; gives how many of them were not in the cache.
  package mutating func use(_ bytes: Range<Int>) -> Int {
    guard !bytes.isEmpty else { return 0 }
    var missed = 0
    for block in bytes.lowerBound / blockBytes...(bytes.upperBound - 1) / blockBytes where block < end {
      if isHeld[block] {
        unlink(block)
      } else {
        missed += 1
        isHeld[block] = true
        held += 1
        if held > capacity { forgetOldest() }
      }
      linkFirst(block)
    }
    return min(bytes.count, missed * blockBytes)
  }

  private mutating func unlink(_ block: Int) {
    let (before, after) = (previous[block], next[block])
    next[Int(before)] = after
    previous[Int(after)] = before
  }

  private mutating func linkFirst(_ block: Int) {
    let first = next[end]
    next[block] = first
    previous[block] = Int32(end)
    previous[Int(first)] = Int32(block)
    next[end] = Int32(block)
  }

  private mutating func forgetOldest() {
    let oldest = Int(previous[end])
    unlink(oldest)
    isHeld[oldest] = false
    held -= 1
  }
}
