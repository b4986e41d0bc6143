import ApusData
import Foundation
import Testing

@Suite("Tokenizers agree with the tokenizers library")
struct TokenizerAgreementTests {
  static let names = ["gpt2", "prefix_space", "llama3", "patterns"]

  @Test("token for token", arguments: names)
  func encoding(name: String) throws {
    let (tokenizer, cases) = (try Fixtures.tokenizer(name), try Fixtures.cases())
    let expected = try #require(cases.tokens[name])
    #expect(cases.texts.count == expected.count && expected.count > 150)
    for (text, tokens) in zip(cases.texts, expected) {
      #expect(tokenizer.encode(text) == tokens, "\(name): \(text.debugDescription)")
    }
    for (text, tokens) in zip(cases.texts, try #require(cases.withSpecialTokens[name])) {
      #expect(tokenizer.encode(text, addSpecialTokens: true) == tokens)
    }
  }

  @Test("decoding", arguments: names)
  func decoding(name: String) throws {
    let (tokenizer, cases) = (try Fixtures.tokenizer(name), try Fixtures.cases())
    for (tokens, text) in zip(try #require(cases.tokens[name]), try #require(cases.decoded[name])) {
      // Unicode equivalence is not enough: the bytes must be the same.
      #expect(Array(tokenizer.decode(tokens, skipSpecialTokens: true).utf8) == Array(text.utf8))
    }
  }

  @Test("decoding undoes encoding", arguments: ["llama3", "patterns"])
  func roundTrip(name: String) throws {
    let tokenizer = try Fixtures.tokenizer(name)
    for text in try Fixtures.cases().texts {
      #expect(tokenizer.decodeBytes(tokenizer.encode(text)) == Array(text.utf8))
    }
  }

  @Test("what Apus writes reads back as the same tokenizer", arguments: names)
  func rewriting(name: String) throws {
    let tokenizer = try Fixtures.tokenizer(name)
    try withTemporaryFolder { folder in
      let copy = folder.appending(path: "tokenizer.json")
      try tokenizer.write(to: copy)
      let again = try Tokenizer(contentsOf: copy)
      #expect(again.definition == tokenizer.definition)
      #expect(again.fingerprint == tokenizer.fingerprint)
      #expect(again.vocabularySize == tokenizer.vocabularySize)
    }
  }

  @Test("rules, switches and special tokens are recognised")
  func parts() throws {
    let (gpt2, llama3) = (try Fixtures.tokenizer("gpt2"), try Fixtures.tokenizer("llama3"))
    #expect(gpt2.definition.splitRules == [.gpt2])
    #expect(gpt2.endOfText == gpt2.definition.addedTokens.first { $0.content == "<|endoftext|>" }?.id)
    #expect(llama3.definition.splitRules == [.llama3(maximumDigits: 3)])
    #expect(llama3.definition.ignoresMerges && llama3.definition.prefix.count == 1)
    #expect(llama3.endOfText == llama3.definition.addedTokens.first { $0.content == "<|end_of_text|>" }?.id)
    #expect(try Fixtures.tokenizer("patterns").definition.splitRules.count == 3)
    #expect(try Fixtures.tokenizer("prefix_space").definition.addsPrefixSpace)
  }

  @Test("the hand-written rules split as their regular expressions do")
  func handWrittenRules() throws {
    for rule in [
      SplitRule.gpt2, .llama3(maximumDigits: 3), .llama3(maximumDigits: 1), .llama3(maximumDigits: .max),
    ] {
      #expect(SplitRule(pattern: rule.pattern) == rule)
      let pattern = SplitRule.pattern(rule.pattern)
      let written = PreTokenizer([rule], patterns: [])
      let matched = PreTokenizer([pattern], patterns: try PreTokenizer.compile([pattern]))
      for var text in try Fixtures.cases().texts where isOldEnough(text) {
        let (a, b) = text.withUTF8 { (pieces(written, $0), pieces(matched, $0)) }
        #expect(a == b, "\(rule): \(text.debugDescription)")
      }
    }
  }

  /// PCRE2 may know an older Unicode version than the rules do.
  private func isOldEnough(_ text: String) -> Bool {
    text.unicodeScalars.allSatisfy { ($0.properties.age?.major ?? 0) <= 14 }
  }

  private func pieces(_ preTokenizer: PreTokenizer, _ bytes: UnsafeBufferPointer<UInt8>) -> [Int] {
    var counts: [Int] = []
    preTokenizer.split(bytes) { counts.append($1) }
    return counts
  }
}
