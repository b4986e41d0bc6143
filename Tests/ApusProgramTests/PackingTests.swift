import ApusProgram
import Testing

@Suite struct PackingTests {
  private func blocks(_ count: Int, seed: UInt64) -> [Block] {
    var dice = Dice(state: seed)
    return (0..<count).map { _ in
      let first = Int.random(in: 0..<60, using: &dice)
      let length = Int.random(in: 0..<(Bool.random(using: &dice) ? 4 : 40), using: &dice)
      // Sizes repeat, as in models, and are often no multiples of the alignment.
      let bytes = [1, 255, 256, 257, 1000, 4096, 65536].randomElement(using: &dice) ?? 1
      return Block(
        storages: [], lifetime: Lifetime(first: first, last: first + length),
        byteCount: bytes * Int.random(in: 1...3, using: &dice))
    }
  }

  /// Blocks that live at the same time never share a byte; every offset is aligned and inside the region.
  @Test(arguments: UInt64(1)...40) func blocksThatLiveTogetherAreDisjoint(seed: UInt64) {
    let blocks = blocks(Int(seed) * 4, seed: seed)
    let packing = Packing(blocks, alignment: 256)
    for (i, a) in blocks.enumerated() {
      let start = packing.offsets[i]
      #expect(start.isMultiple(of: 256) && start >= 0 && start + a.byteCount <= packing.byteCount)
      for j in 0..<i where a.lifetime.overlaps(blocks[j].lifetime) {
        let other = packing.offsets[j]
        #expect(start + a.byteCount <= other || other + blocks[j].byteCount <= start, "\(i) and \(j)")
      }
    }
    let bound =
      (0..<110).map { time in
        blocks.reduce(0) { $0 + ($1.lifetime.overlaps(Lifetime(first: time, last: time)) ? $1.byteCount : 0) }
      }.max() ?? 0
    #expect(packing.byteCount >= bound)
  }

  /// The same blocks are always packed the same way.
  @Test func packingIsDeterministic() {
    #expect(
      Packing(blocks(80, seed: 7), alignment: 256).offsets
        == Packing(blocks(80, seed: 7), alignment: 256).offsets)
  }

  @Test func emptyAndSingle() {
    #expect(Packing([], alignment: 256).byteCount == 0)
    let one = Block(storages: [], lifetime: Lifetime(first: 3, last: 3), byteCount: 300)
    #expect(Packing([one], alignment: 256).byteCount == 512)
    // One after the other they share a place, together they do not.
    let next = Block(storages: [], lifetime: Lifetime(first: 4, last: 5), byteCount: 300)
    #expect(Packing([one, next], alignment: 256).byteCount == 512)
    let beside = Block(storages: [], lifetime: Lifetime(first: 2, last: 3), byteCount: 300)
    #expect(Packing([one, beside], alignment: 256).byteCount == 1024)
  }

  @Test func lifetimesIncludeBothEnds() {
    let a = Lifetime(first: 2, last: 4)
    #expect(a.overlaps(Lifetime(first: 4, last: 9)) && a.overlaps(Lifetime(first: 0, last: 2)))
    #expect(!a.overlaps(Lifetime(first: 5, last: 9)) && !a.overlaps(Lifetime(first: 0, last: 1)))
  }
}
