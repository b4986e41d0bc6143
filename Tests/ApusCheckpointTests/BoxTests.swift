import ApusCheckpoint
import Testing

@Suite struct BoxTests {
  @Test func runsVisitTheSharedElementsOnce() {
    // Against a plain walk over all coordinates of a [4, 3, 5] tensor.
    let boxes = [
      Box(whole: [4, 3, 5]), Box(start: [1, 0, 0], extents: [2, 3, 5]),
      Box(start: [0, 1, 0], extents: [4, 2, 5]),
      Box(start: [2, 1, 3], extents: [2, 1, 2]), Box(start: [0, 0, 0], extents: [1, 1, 1]),
    ]
    for a in boxes {
      for b in boxes {
        var expected: Set<[Int]> = []
        for i in 0..<4 {
          for j in 0..<3 {
            for k in 0..<5 {
              if let x = offset([i, j, k], in: a), let y = offset([i, j, k], in: b) {
                expected.insert([x, y])
              }
            }
          }
        }
        var found: Set<[Int]> = []
        a.forEachRun(sharedWith: b) { here, there, count in
          for n in 0..<count { #expect(found.insert([here + n, there + n]).inserted) }
        }
        #expect(found == expected)
      }
    }
  }

  private func offset(_ point: [Int], in box: Box) -> Int? {
    var result = 0
    for d in point.indices {
      let local = point[d] - box.start[d]
      guard local >= 0, local < box.extents[d] else { return nil }
      result = result * box.extents[d] + local
    }
    return result
  }

  @Test func wholeRowsAreOneRun() {
    var runs = 0
    Box(start: [10, 0, 0], extents: [20, 3, 5]).forEachRun(sharedWith: Box(whole: [100, 3, 5])) {
      #expect(($0, $1, $2) == (0, 150, 300))
      runs += 1
    }
    #expect(runs == 1)
    Box(whole: []).forEachRun(sharedWith: Box(whole: [])) { #expect(($0, $1, $2) == (0, 0, 1)) }
  }

  @Test func aFlatRangeBecomesBoxesInOrder() {
    for shape in [[24], [6, 4], [2, 3, 4], [1, 24], [24, 1]] {
      for low in 0...24 {
        for high in low...24 {
          var flat: [Int] = []
          let boxes = Box.covering(low..<high, of: shape)
          for box in boxes {
            Box(whole: shape).forEachRun(sharedWith: box) { at, _, n in flat += at..<at + n }
          }
          #expect(flat == Array(low..<high))
          #expect(boxes.count <= 2 * shape.count - 1)
        }
      }
    }
    #expect(Box.covering(0..<1, of: []) == [Box(whole: [])])
  }
}
