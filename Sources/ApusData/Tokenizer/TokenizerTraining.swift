import ApusCore

extension Tokenizer {
  /// Trains a byte-level BPE tokenizer on texts: the same texts give the same tokenizer.
  ///
  /// The ids are the 256 bytes, then the merged tokens, then the special tokens, as in GPT-2. The vocabulary
  /// stays smaller than asked where the texts have no more pairs to merge.
  package static func train(
    on texts: [UnsafeBufferPointer<UInt8>], vocabularySize: Int, specialTokens: [String] = ["<|endoftext|>"],
    splitRule: SplitRule = .gpt2
  ) throws(DataError) -> Tokenizer {
    var training = try TokenizerTraining(splitRule: splitRule)
    for text in texts { training.add(text) }
    return try training.finish(vocabularySize: vocabularySize, specialTokens: specialTokens)
  }

  /// Trains on texts in memory.
  package static func train(
    on texts: [String], vocabularySize: Int, specialTokens: [String] = ["<|endoftext|>"],
    splitRule: SplitRule = .gpt2
  ) throws(DataError) -> Tokenizer {
    var training = try TokenizerTraining(splitRule: splitRule)
    for var text in texts { text.withUTF8 { training.add($0) } }
    return try training.finish(vocabularySize: vocabularySize, specialTokens: specialTokens)
  }
}

/// Training in two parts: count the pre-tokens of all texts, then merge pairs.
package struct TokenizerTraining: ~Copyable {
  private let splitRule: SplitRule
  private let preTokenizer: PreTokenizer
  private var counts = ByteStringTable(minimumCapacity: 1 << 14)

  package init(splitRule: SplitRule = .gpt2) throws(DataError) {
    self.splitRule = splitRule
    do {
      preTokenizer = PreTokenizer([splitRule], patterns: try PreTokenizer.compile([splitRule]))
    } catch {
      throw .request("the tokenizer's split pattern \(error)")
    }
  }

  /// Counts the pre-tokens of a text.
  package mutating func add(_ text: UnsafeBufferPointer<UInt8>) {
    preTokenizer.split(text) { bytes, count in
      let hash = ByteStringTable.hash(bytes, count)
      counts.insert(bytes, count, hash: hash, value: (counts.value(of: bytes, count, hash: hash) ?? 0) + 1)
    }
  }

  /// Learns the merges and makes the tokenizer.
  package consuming func finish(
    vocabularySize: Int, specialTokens: [String]
  ) throws(DataError) -> Tokenizer {
    let mergeCount = vocabularySize - 256 - specialTokens.count
    guard mergeCount >= 0 else {
      throw .request(
        "a vocabulary of \(vocabularySize) is too small; 256 bytes and "
          + "\(specialTokens.count) special tokens need \(256 + specialTokens.count)")
    }
    guard Set(specialTokens).count == specialTokens.count, !specialTokens.contains("") else {
      throw .request(
        "special tokens must be different and not empty; got \(specialTokens.joined(separator: ", "))")
    }
    var learning = MergeLearning()
    counts.forEachEntry { bytes, count in learning.addWord(bytes, count: Int(count)) }
    learning.learn(vocabularySize: vocabularySize - specialTokens.count)
    var definition = TokenizerDefinition(
      vocabulary: learning.tokens.map { ByteAlphabet.entry(of: $0) }, merges: learning.merges)
    definition.splitRules = [splitRule]
    definition.addedTokens = specialTokens.enumerated().map { index, content in
      AddedToken(id: Int32(learning.tokens.count + index), content: content)
    }
    return try Tokenizer(definition: definition, path: "trained tokenizer")
  }
}
