import ApusCore

/// Learns merges: again and again the most frequent pair becomes a token; of equally frequent pairs the one
/// with the smallest ids. Counts are kept up to date word by word, and a heap finds the next pair.
///
/// Source: Sennrich, Haddow, Birch 2016, "Neural Machine Translation of Rare Words with Subword Units".
struct MergeLearning {
  /// The bytes of each token.
  private(set) var tokens: [[UInt8]]
  private(set) var merges: [Merge] = []

  // Words: the symbols of word w are symbols[starts[w]..<starts[w] + lengths[w]].
  private var symbols: [Int32] = []
  private var starts: [Int] = []
  private var lengths: [Int] = []
  private var frequencies: [Int] = []

  // Pairs, numbered as they appear.
  private var pairNumbers: [UInt64: Int] = [:]
  private var pairs: [Merge] = []
  private var pairCounts: [Int] = []
  private var pairWords: [[Int32]] = []
  private var tokenOfByte = [Int32](repeating: 0, count: 256)

  init() {
    tokens = ByteAlphabet.bytesByScalar.map { [$0] }
    for (token, bytes) in tokens.enumerated() { tokenOfByte[Int(bytes[0])] = Int32(token) }
  }

  /// Adds a pre-token that occurs `count` times. Each pre-token is added once.
  mutating func addWord(_ bytes: UnsafeBufferPointer<UInt8>, count: Int) {
    starts.append(symbols.count)
    lengths.append(bytes.count)
    frequencies.append(count)
    for byte in bytes { symbols.append(tokenOfByte[Int(byte)]) }
  }

  /// Merges until there are that many tokens or no pairs.
  mutating func learn(vocabularySize: Int) {
    for word in starts.indices {
      for index in starts[word]..<starts[word] + max(0, lengths[word] - 1) {
        change(Merge(symbols[index], symbols[index + 1]), by: frequencies[word], in: word)
      }
    }
    var known = ByteStringTable(minimumCapacity: vocabularySize)
    for (token, bytes) in tokens.enumerated() { known.set(bytes, UInt64(token)) }
    var heap = BinaryHeap(
      pairs.indices.map { PairCandidate(count: pairCounts[$0], pair: pairs[$0], number: $0) })

    while tokens.count < vocabularySize, let candidate = heap.removeFirst() {
      let number = candidate.number
      if candidate.count != pairCounts[number] {  // an old entry: put it where it belongs now
        if pairCounts[number] > 0 {
          heap.insert(PairCandidate(count: pairCounts[number], pair: candidate.pair, number: number))
        }
        continue
      }
      guard candidate.count > 0 else { break }
      let bytes = tokens[Int(candidate.pair.left)] + tokens[Int(candidate.pair.right)]
      let token: Int32
      if let existing = known.get(bytes) {
        token = Int32(existing)
      } else {
        token = Int32(tokens.count)
        tokens.append(bytes)
        known.set(bytes, UInt64(token))
      }
      merges.append(candidate.pair)
      var grown: [Int] = []
      for word in pairWords[number] { merge(candidate.pair, into: token, word: Int(word), grown: &grown) }
      pairCounts[number] = 0
      pairWords[number] = []
      for number in Set(grown) where pairCounts[number] > 0 {
        heap.insert(PairCandidate(count: pairCounts[number], pair: pairs[number], number: number))
      }
    }
  }

  /// Replaces the pair in one word, and keeps the counts of its neighbours.
  private mutating func merge(_ pair: Merge, into token: Int32, word: Int, grown: inout [Int]) {
    let (start, frequency) = (starts[word], frequencies[word])
    var (read, write, length) = (0, 0, lengths[word])
    while read < length {
      guard read + 1 < length, symbols[start + read] == pair.left, symbols[start + read + 1] == pair.right
      else {
        symbols[start + write] = symbols[start + read]
        (read, write) = (read + 1, write + 1)
        continue
      }
      if write > 0 {
        let before = symbols[start + write - 1]
        change(Merge(before, pair.left), by: -frequency, in: word)
        grown.append(change(Merge(before, token), by: frequency, in: word))
      }
      if read + 2 < length {
        let after = symbols[start + read + 2]
        change(Merge(pair.right, after), by: -frequency, in: word)
        grown.append(change(Merge(token, after), by: frequency, in: word))
      }
      symbols[start + write] = token
      (read, write) = (read + 2, write + 1)
    }
    length = write
    lengths[word] = length
  }

  /// Changes a pair's count and returns its number.
  @discardableResult
  private mutating func change(_ pair: Merge, by amount: Int, in word: Int) -> Int {
    let number: Int
    if let known = pairNumbers[pair.key] {
      number = known
    } else {
      number = pairs.count
      pairNumbers[pair.key] = number
      pairs.append(pair)
      pairCounts.append(0)
      pairWords.append([])
    }
    pairCounts[number] += amount
    if amount > 0, pairWords[number].last != Int32(word) { pairWords[number].append(Int32(word)) }
    return number
  }
}

/// A pair with the count it had when it entered the heap: the most frequent first, then the smallest ids.
private struct PairCandidate: Comparable {
  var count: Int
  var pair: Merge
  var number: Int

  static func < (a: PairCandidate, b: PairCandidate) -> Bool {
    a.count != b.count ? a.count > b.count : a.pair.key < b.pair.key
  }
}
