/// Merges the tokens of one pre-token: always the pair of the lowest rank, of equal ranks the leftmost.
///
/// Source: Sennrich, Haddow, Birch 2016, "Neural Machine Translation of Rare Words with Subword Units".
package struct PairMerging {
  /// Up to this length scanning for the lowest rank beats a heap.
  package static let scanLimit = 64

  private let table: MergeTable
  private var ranks: [Int32] = []
  private var merged: [Int32] = []

  package init(table: MergeTable) { self.table = table }

  /// Merges `tokens[0..<count]` in place and returns the new count.
  package mutating func merge(_ tokens: UnsafeMutablePointer<Int32>, count: Int) -> Int {
    guard count > 1 else { return count }
    return count <= Self.scanLimit ? scan(tokens, count) : mergeLong(tokens, count)
  }

  private mutating func scan(_ tokens: UnsafeMutablePointer<Int32>, _ initialCount: Int) -> Int {
    if ranks.isEmpty {
      ranks = [Int32](repeating: 0, count: Self.scanLimit)
      merged = ranks
    }
    let table = table
    return ranks.withUnsafeMutableBufferPointer { ranks in
      merged.withUnsafeMutableBufferPointer { merged in
        var count = initialCount
        for index in 0..<count - 1 {
          (ranks[index], merged[index]) = table.lookup(tokens[index], tokens[index + 1])
        }
        while count > 1 {
          var (best, place) = (MergeTable.noRank, 0)
          for index in 0..<count - 1 where ranks[index] < best { (best, place) = (ranks[index], index) }
          if best == MergeTable.noRank { break }
          tokens[place] = merged[place]
          count -= 1
          var index = place + 1
          while index < count {
            tokens[index] = tokens[index + 1]
            (ranks[index - 1], merged[index - 1]) = (ranks[index], merged[index])
            index += 1
          }
          if place > 0 {
            (ranks[place - 1], merged[place - 1]) = table.lookup(tokens[place - 1], tokens[place])
          }
          if place < count - 1 {
            (ranks[place], merged[place]) = table.lookup(tokens[place], tokens[place + 1])
          }
        }
        return count
      }
    }
  }

  /// The same through a heap of candidates over a linked list: O(n log n).
  package func mergeLong(_ tokens: UnsafeMutablePointer<Int32>, _ count: Int) -> Int {
    var next = [Int](1...count)
    var previous = [Int](-1..<count - 1)
    var alive = [Bool](repeating: true, count: count)
    next[count - 1] = -1
    var candidates = BinaryHeap<MergeCandidate>()

    func offer(_ left: Int) {
      guard left >= 0, next[left] >= 0 else { return }
      let (rank, token) = table.lookup(tokens[left], tokens[next[left]])
      if rank != MergeTable.noRank {
        candidates.insert(MergeCandidate(rank: rank, place: left, token: token))
      }
    }

    for index in 0..<count - 1 { offer(index) }
    while let candidate = candidates.removeFirst() {
      let (left, right) = (candidate.place, next[candidate.place])
      guard alive[left], right >= 0 else { continue }
      let (rank, token) = table.lookup(tokens[left], tokens[right])
      guard rank == candidate.rank, token == candidate.token else { continue }  // the pair has changed since
      tokens[left] = token
      alive[right] = false
      next[left] = next[right]
      if next[right] >= 0 { previous[next[right]] = left }
      offer(previous[left])
      offer(left)
    }
    var kept = 0
    for index in 0..<count where alive[index] {
      tokens[kept] = tokens[index]
      kept += 1
    }
    return kept
  }
}

private struct MergeCandidate: Comparable {
  var rank: Int32
  var place: Int
  var token: Int32

  static func < (a: MergeCandidate, b: MergeCandidate) -> Bool {
    a.rank != b.rank ? a.rank < b.rank : a.place < b.place
  }
}
