/// Places blocks with known lifetimes in one region: one after the other, each at the lowest offset that is free
/// during its whole lifetime.
///
/// The order decides how much is lost. The largest block first is best where lifetimes are nested, as activations'
/// are; where that loses something, others are tried, and the smallest region is taken.
package struct Packing {
  package private(set) var offsets: [Int] = []
  package private(set) var byteCount = Int.max

  package init(_ blocks: [Block], alignment: Int) {
    let sizes = blocks.map { Packing.align($0.byteCount, alignment) }
    let least = Self.mostAlive(blocks, sizes)
    for order in Order.allCases {
      let (offsets, byteCount) = Self.place(blocks, sizes, order.indices(blocks))
      if byteCount < self.byteCount { (self.offsets, self.byteCount) = (offsets, byteCount) }
      if byteCount == least { break }
    }
    let ends = blocks.indices.filter { offsets[$0] + sizes[$0] == byteCount }
    // Storages are written to their end, scratch may not be: seen from outside, a region ends with a storage.
    if !ends.contains(where: { !blocks[$0].storages.isEmpty }) {
      offsets = blocks.indices.map { byteCount - offsets[$0] - sizes[$0] }
    }
  }

  /// Which block is placed next.
  private enum Order: CaseIterable {
    case size
    /// Bytes times the instructions for which they are needed.
    case area
    /// Those needed longest.
    case duration
    case start

    func indices(_ blocks: [Block]) -> [Int] {
      func key(_ index: Int) -> (Int, Int) {
        let block = blocks[index]
        let duration = block.lifetime.last - block.lifetime.first + 1
        return switch self {
        case .size: (-block.byteCount, block.lifetime.first)
        case .area: (-block.byteCount * duration, block.lifetime.first)
        case .duration: (-duration, -block.byteCount)
        case .start: (block.lifetime.first, -block.byteCount)
        }
      }
      let keys = blocks.indices.map(key)
      return blocks.indices.sorted { (keys[$0].0, keys[$0].1, $0) < (keys[$1].0, keys[$1].1, $1) }
    }
  }

  private static func place(
    _ blocks: [Block], _ sizes: [Int], _ order: [Int]
  ) -> (offsets: [Int], byteCount: Int) {
    var offsets = Array(repeating: 0, count: blocks.count)
    var byteCount = 0
    var placed: [(offset: Int, end: Int, lifetime: Lifetime)] = []
    for index in order {
      let size = sizes[index]
      var offset = 0
      for other in placed where other.lifetime.overlaps(blocks[index].lifetime) {
        if other.offset >= offset + size { break }
        offset = max(offset, other.end)
      }
      offsets[index] = offset
      byteCount = max(byteCount, offset + size)
      let entry = (offset: offset, end: offset + size, lifetime: blocks[index].lifetime)
      let position = placed.firstIndex { $0.offset > offset } ?? placed.count
      placed.insert(entry, at: position)
    }
    return (offsets, byteCount)
  }

  /// The largest sum of sizes that are needed at one time.
  private static func mostAlive(_ blocks: [Block], _ sizes: [Int]) -> Int {
    var changes: [Int: Int] = [:]
    for (block, size) in zip(blocks, sizes) {
      changes[block.lifetime.first, default: 0] += size
      changes[block.lifetime.last + 1, default: 0] -= size
    }
    var (alive, most) = (0, 0)
    for (_, change) in changes.sorted(by: { $0.key < $1.key }) {
      alive += change
      most = max(most, alive)
    }
    return most
  }

  /// The smallest multiple of an alignment that holds so many bytes.
  package static func align(_ bytes: Int, _ alignment: Int) -> Int {
    (bytes + alignment - 1) / alignment * alignment
  }
}
