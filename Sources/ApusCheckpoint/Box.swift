import ApusCore

/// A rectangular part of a tensor: where it starts in each dimension and how far it reaches.
///
/// A scalar's only box has no dimensions and volume 1.
package struct Box: Hashable, Sendable {
  package var start: [Int]
  package var extents: [Int]

  package init(start: [Int], extents: [Int]) {
    require(start.count == extents.count, "a box with \(start.count) starts and \(extents.count) extents")
    self.start = start
    self.extents = extents
  }

  /// All of a tensor.
  package init(whole shape: [Int]) {
    self.init(start: Array(repeating: 0, count: shape.count), extents: shape)
  }

  /// Elements in the box.
  package var volume: Int { extents.reduce(1, *) }

  /// Whether the box lies in a tensor of this shape.
  package func fits(_ shape: [Int]) -> Bool {
    start.count == shape.count
      && shape.indices.allSatisfy {
        start[$0] >= 0 && extents[$0] >= 0 && start[$0] <= shape[$0] && extents[$0] <= shape[$0] - start[$0]
      }
  }

  /// The elements in both boxes, or nil if there are none.
  package func intersection(_ other: Box) -> Box? {
    require(start.count == other.start.count, "boxes of \(start.count) and \(other.start.count) dimensions")
    var result = self
    for d in start.indices {
      let low = max(start[d], other.start[d])
      let high = min(start[d] + extents[d], other.start[d] + other.extents[d])
      guard low < high else { return nil }
      result.start[d] = low
      result.extents[d] = high - low
    }
    return result
  }

  /// The boxes, in order, that together are the elements `range` of a tensor in row-major order: at most
  /// 2n - 1 for n dimensions. Thus a range of a flattened parameter becomes pieces of that parameter.
  package static func covering(_ range: Range<Int>, of shape: [Int]) -> [Box] {
    let size = shape.reduce(1, *)
    require(range.lowerBound >= 0 && range.upperBound <= size, "elements \(range) of a tensor of \(size)")
    guard !range.isEmpty else { return [] }
    if shape.isEmpty { return [Box(whole: [])] }
    if shape.count == 1 { return [Box(start: [range.lowerBound], extents: [range.count])] }
    let inner = Array(shape.dropFirst())
    let rowSize = inner.reduce(1, *)
    var result: [Box] = []
    func appendPart(ofRow row: Int, _ part: Range<Int>) {
      for box in covering(part, of: inner) {
        result.append(Box(start: [row] + box.start, extents: [1] + box.extents))
      }
    }
    let (firstRow, firstOffset) = range.lowerBound.quotientAndRemainder(dividingBy: rowSize)
    let (endRow, endOffset) = range.upperBound.quotientAndRemainder(dividingBy: rowSize)
    if firstRow == endRow {
      appendPart(ofRow: firstRow, firstOffset..<endOffset)
      return result
    }
    var firstWhole = firstRow
    if firstOffset > 0 {
      appendPart(ofRow: firstRow, firstOffset..<rowSize)
      firstWhole += 1
    }
    if firstWhole < endRow {
      result.append(
        Box(start: [firstWhole] + inner.map { _ in 0 }, extents: [endRow - firstWhole] + inner))
    }
    if endOffset > 0 { appendPart(ofRow: endRow, 0..<endOffset) }
    return result
  }

  /// Calls `body` for each run of elements that lies together in this box and in `other`, with the run's
  /// offset in each box (row-major within the box) and its length.
  package func forEachRun(sharedWith other: Box, _ body: (_ here: Int, _ there: Int, _ count: Int) -> Void) {
    guard let shared = intersection(other) else { return }
    // Dimensions behind `outer` are whole in both boxes, so one run spans them all.
    var outer = shared.extents.count
    var run = 1
    while outer > 0 {
      outer -= 1
      run *= shared.extents[outer]
      if shared.extents[outer] != extents[outer] || shared.extents[outer] != other.extents[outer] { break }
    }
    var index = Array(repeating: 0, count: outer)
    while true {
      var (here, there) = (0, 0)
      for d in start.indices {
        let position = shared.start[d] + (d < outer ? index[d] : 0)
        here = here * extents[d] + position - start[d]
        there = there * other.extents[d] + position - other.start[d]
      }
      body(here, there, run)
      var d = outer - 1
      while d >= 0 {
        index[d] += 1
        if index[d] < shared.extents[d] { break }
        index[d] = 0
        d -= 1
      }
      if d < 0 { return }
    }
  }
}
