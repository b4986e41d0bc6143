/// One thread's working memory for encoding: a cache from pre-tokens to tokens, and buffers.
///
/// `@unchecked Sendable`: the tokenizer lends a session to one call at a time.
final class EncodingSession: @unchecked Sendable {
  /// Longer pre-tokens are rare and not worth remembering.
  private static let longestCached = 128
  /// Pre-tokens in the cache before it starts afresh: bounds its memory to some 30 MB.
  private static let cacheLimit = 1 << 18

  private let tables: EncodingTables
  private let preTokenizer: PreTokenizer
  // The value of a cached pre-token is its only token, or (offset into cachedTokens) << 8 | count; the top
  // bit tells which.
  private var cache = ByteStringTable(minimumCapacity: 2048)
  private var cachedTokens = TokenBuffer()
  private var merging: PairMerging
  private var scratch = TokenBuffer()
  private var prefixed: [UInt8] = []
  /// The tokens of the texts encoded since it was last emptied.
  var output = TokenBuffer()

  private static let single: UInt64 = 1 << 63

  init(_ tables: EncodingTables) {
    self.tables = tables
    preTokenizer = PreTokenizer(tables.splitRules, patterns: tables.patterns)
    merging = PairMerging(table: tables.merges)
  }

  /// Appends the tokens of a text to `output`.
  func encode(_ bytes: UnsafeBufferPointer<UInt8>) { encode(bytes, search: 0) }

  private func encode(_ bytes: UnsafeBufferPointer<UInt8>, search: Int) {
    guard search < tables.addedTokens.count else { return encodePiece(bytes) }
    if tables.addedTokens[search].isEmpty { return encode(bytes, search: search + 1) }
    tables.addedTokens[search].split(bytes) { range, token in
      if let token {
        output.append(token)
      } else {
        encode(UnsafeBufferPointer(rebasing: bytes[range]), search: search + 1)
      }
    }
  }

  private func encodePiece(_ bytes: UnsafeBufferPointer<UInt8>) {
    if tables.addsPrefixSpace, bytes.count > 0, bytes[0] != UInt8(ascii: " ") {
      prefixed.removeAll(keepingCapacity: true)
      prefixed.append(UInt8(ascii: " "))
      prefixed.append(contentsOf: bytes)
      prefixed.withUnsafeBufferPointer { text in preTokenizer.split(text) { encodePreToken($0, $1) } }
    } else {
      preTokenizer.split(bytes) { encodePreToken($0, $1) }
    }
  }

  @inline(__always)
  private func encodePreToken(_ bytes: UnsafePointer<UInt8>, _ count: Int) {
    let hash = ByteStringTable.hash(bytes, count)
    guard let value = cache.value(of: bytes, count, hash: hash) else {
      return encodeNew(bytes, count, hash: hash)
    }
    if value & Self.single != 0 {
      output.append(Int32(truncatingIfNeeded: value))
    } else {
      output.append(cachedTokens.tokens + Int(value >> 8), count: Int(value & 0xff))
    }
  }

  @inline(never)
  private func encodeNew(_ bytes: UnsafePointer<UInt8>, _ count: Int, hash: UInt64) {
    scratch.removeAll()
    scratch.reserve(count)
    if tables.wholeEntries != nil, let token = tables.wholeEntries!.value(of: bytes, count, hash: hash) {
      scratch.append(Int32(truncatingIfNeeded: token))
    } else {
      for index in 0..<count { scratch.append(tables.byteTokens[Int(bytes[index])]) }
      scratch.truncate(to: merging.merge(scratch.tokens, count: count))
    }
    output.append(scratch.tokens, count: scratch.count)
    guard count <= Self.longestCached else { return }
    if cache.count >= Self.cacheLimit {
      cache.removeAll()
      cachedTokens.removeAll()
    }
    var value = UInt64(cachedTokens.count) << 8 | UInt64(scratch.count)
    if scratch.count == 1 {
      value = Self.single | UInt64(UInt32(bitPattern: scratch.tokens[0]))
    } else {
      cachedTokens.append(scratch.tokens, count: scratch.count)
    }
    cache.insert(bytes, count, hash: hash, value: value)
  }
}

/// A growing list of tokens without checks on each access.
struct TokenBuffer: ~Copyable {
  private(set) var tokens: UnsafeMutablePointer<Int32>
  private(set) var count = 0
  private var capacity = 1024

  init() { tokens = .allocate(capacity: capacity) }

  deinit { tokens.deallocate() }

  var array: [Int32] { Array(UnsafeBufferPointer(start: tokens, count: count)) }

  @inline(__always)
  mutating func append(_ token: Int32) {
    if count == capacity { grow(toHold: count + 1) }
    tokens[count] = token
    count += 1
  }

  @inline(__always)
  mutating func append(_ source: UnsafePointer<Int32>, count added: Int) {
    if count + added > capacity { grow(toHold: count + added) }
    for index in 0..<added { tokens[count + index] = source[index] }
    count += added
  }

  mutating func reserve(_ needed: Int) { if needed > capacity { grow(toHold: needed) } }

  mutating func truncate(to newCount: Int) { count = newCount }

  mutating func removeAll() { count = 0 }

  @inline(never)
  private mutating func grow(toHold needed: Int) {
    let grown = max(needed, capacity * 2)
    let replacement = UnsafeMutablePointer<Int32>.allocate(capacity: grown)
    replacement.update(from: tokens, count: count)
    tokens.deallocate()
    (tokens, capacity) = (replacement, grown)
  }
}
