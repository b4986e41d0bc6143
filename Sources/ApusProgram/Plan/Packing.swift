/// Places blocks with known lifetimes in one region: largest first, each at the lowest offset that is free
/// during its whole lifetime (greedy by size).
package struct Packing {
  package private(set) var offsets: [Int]
  package private(set) var byteCount = 0

  package init(_ blocks: [Block], alignment: Int) {
    offsets = Array(repeating: 0, count: blocks.count)
    let order = blocks.indices.sorted {
      (blocks[$1].byteCount, blocks[$0].lifetime.first, $0)
        < (blocks[$0].byteCount, blocks[$1].lifetime.first, $1)
    }
    var placed: [(offset: Int, end: Int, lifetime: Lifetime)] = []
    for index in order {
      let size = Packing.align(blocks[index].byteCount, alignment)
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
  }

  /// The smallest multiple of an alignment that holds so many bytes.
  package static func align(_ bytes: Int, _ alignment: Int) -> Int {
    (bytes + alignment - 1) / alignment * alignment
  }
}
