/// What encoding looks up, made once from a definition.
///
/// Safe to share between threads because nothing changes after `init`; each thread encodes with an
/// `EncodingSession` of its own.
package final class EncodingTables: @unchecked Sendable {
  /// The token of each byte.
  package let byteTokens: [Int32]
  package let merges: MergeTable
  /// The model's entries by their bytes; only filled when the tokenizer ignores merges.
  let wholeEntries: ByteStringTable?
  let splitRules: [SplitRule]
  let patterns: [CompiledPattern]
  let addsPrefixSpace: Bool
  /// Added tokens in the order of search: those on raw text, then those on normalised text.
  let addedTokens: [AddedTokenSearch]
  /// Whether a text may be cut after a newline between two visible ASCII characters without any effect.
  let canCutAtNewlines: Bool

  init(_ definition: TokenizerDefinition) throws(TokenizerProblem) {
    var entries = ByteStringTable(minimumCapacity: definition.vocabulary.count + 1)
    var bytes: [[UInt8]?] = []
    bytes.reserveCapacity(definition.vocabulary.count)
    for (id, entry) in definition.vocabulary.enumerated() {
      let decoded = entry.flatMap(ByteAlphabet.bytes(of:))
      bytes.append(decoded)
      if let decoded, !decoded.isEmpty { entries.set(decoded, UInt64(id)) }
    }
    var byteTokens: [Int32] = []
    for byte in UInt8.min...UInt8.max {
      guard let id = entries.get([byte]) else {
        throw TokenizerProblem("no token for byte \(byte); Apus needs all 256 bytes in the vocabulary")
      }
      byteTokens.append(Int32(id))
    }
    var merged: [Int32] = []
    merged.reserveCapacity(definition.merges.count)
    for (rank, merge) in definition.merges.enumerated() {
      let parts = [merge.left, merge.right].compactMap { id in
        bytes.indices.contains(Int(id)) ? bytes[Int(id)] : nil
      }
      guard parts.count == 2 else {
        throw TokenizerProblem("merge \(rank) joins a token that is not in the byte-level vocabulary")
      }
      guard let id = entries.get(parts[0] + parts[1]) else {
        throw TokenizerProblem(
          "merge \(rank) makes \(ByteAlphabet.entry(of: parts[0] + parts[1])), which is not in the vocabulary"
        )
      }
      merged.append(Int32(id))
    }
    do { patterns = try PreTokenizer.compile(definition.splitRules) } catch {
      throw TokenizerProblem("a Split pattern \(error)")
    }
    let isPlain = !definition.addsPrefixSpace && patterns.isEmpty && definition.splitRules.count == 1
    canCutAtNewlines =
      isPlain && !definition.addedTokens.contains { $0.stripsLeft || $0.content.utf8.contains(0x0a) }
    addedTokens = [false, true].map { normalized in
      AddedTokenSearch(definition.addedTokens.filter { $0.isNormalized == normalized })
    }
    self.byteTokens = byteTokens
    merges = MergeTable(definition.merges, merged: merged)
    splitRules = definition.splitRules
    addsPrefixSpace = definition.addsPrefixSpace
    wholeEntries = definition.ignoresMerges ? consume entries : nil
  }
}

/// Why a definition cannot be used; the reader adds the file's name.
struct TokenizerProblem: Error, CustomStringConvertible {
  var description: String

  init(_ description: String) { self.description = description }
}

extension ByteStringTable {
  mutating func set(_ key: [UInt8], _ value: UInt64) {
    key.withUnsafeBufferPointer {
      insert($0.baseAddress!, $0.count, hash: Self.hash($0.baseAddress!, $0.count), value: value)
    }
  }

  func get(_ key: [UInt8]) -> UInt64? {
    key.withUnsafeBufferPointer { key in
      guard let base = key.baseAddress, key.count > 0 else { return nil }
      return value(of: base, key.count, hash: Self.hash(base, key.count))
    }
  }
}
