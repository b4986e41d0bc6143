import ApusData
import Foundation
import Testing

@Suite("Training and encoding")
struct TokenizerTrainingTests {
  private static let text =
    String(
      repeating:
        "In the beginning God created the heaven and the earth.\nAnd the earth was without form, and void;\n",
      count: 3) + "Größe 日本語 😀 12 123\n"

  @Test("the most frequent pair merges first, of equal ones the smallest ids")
  func order() throws {
    let tokenizer = try Tokenizer.train(on: ["aab aab aab xy xy zz"], vocabularySize: 256 + 4 + 1)
    let merged = tokenizer.definition.vocabulary[256...].map { $0! }
    // aa, ab and Ġa... : (a,a) 3, (a,b) 3, (Ġ,a) 2, (x,y) 2, (Ġ,x) 2, (Ġ,z) 1, (z,z) 1
    #expect(merged == ["aa", "aab", "xy", "Ġaab"])
    #expect(tokenizer.endOfText == 260 && tokenizer.vocabularySize == 261)
    #expect(tokenizer.encode("aab xy<|endoftext|>") == [257, 220, 258, 260])
  }

  @Test("the same texts give the same tokenizer")
  func determinism() throws {
    let rules: [SplitRule] = [.gpt2, .llama3(maximumDigits: 3)]
    for rule in rules {
      let a = try Tokenizer.train(on: [Self.text], vocabularySize: 300, splitRule: rule)
      let b = try Tokenizer.train(on: [Self.text], vocabularySize: 300, splitRule: rule)
      #expect(a.definition == b.definition && a.fingerprint == b.fingerprint)
      #expect(a.vocabularySize == 300)
      #expect(a.decode(a.encode(Self.text)) == Self.text)
    }
    let c = try Tokenizer.train(on: [Self.text], vocabularySize: 301)
    #expect(c.fingerprint != (try Tokenizer.train(on: [Self.text], vocabularySize: 300)).fingerprint)
  }

  @Test("a text without enough pairs gives a smaller vocabulary; too small a vocabulary is an error")
  func sizes() throws {
    #expect(try Tokenizer.train(on: ["ab"], vocabularySize: 1000).vocabularySize == 258)
    #expect(message { _ = try Tokenizer.train(on: ["ab"], vocabularySize: 256) }.contains("need 257"))
    #expect(
      message { _ = try Tokenizer.train(on: ["a"], vocabularySize: 900, specialTokens: ["x", "x"]) }.contains(
        "x, x"))
  }

  @Test("several threads give the tokens of one", arguments: [SplitRule.gpt2, .llama3(maximumDigits: 3)])
  func threads(rule: SplitRule) throws {
    let tokenizer = try Tokenizer.train(on: [Self.text], vocabularySize: 400, splitRule: rule)
    var text = Self.text + "<|endoftext|>\n\n  a.\n\nb\n \nc\r\nd\n"
    while text.utf8.count < 400_000 { text += text }
    text.withUTF8 { bytes in
      #expect(tokenizer.pieces(of: bytes, size: 1000).count > 100)
      let one = tokenizer.encode(bytes)
      #expect(tokenizer.encode(bytes, threads: 4) == one)
      let pieces = tokenizer.pieces(of: bytes, size: 1).map { UnsafeBufferPointer(rebasing: bytes[$0]) }
      #expect(Array(tokenizer.encode(pieces, threads: 3).joined()) == one)
    }
  }

  @Test("any bytes survive, valid UTF-8 or not")
  func bytes() throws {
    var generator = SeededGenerator(state: 1)
    for name in ["llama3", "patterns"] {
      let tokenizer = try Fixtures.tokenizer(name)
      for _ in 0..<200 {
        let bytes = (0..<Int.random(in: 0..<40, using: &generator)).map { _ in
          UInt8.random(in: 0...255, using: &generator)
        }
        #expect(bytes.withUnsafeBufferPointer { tokenizer.decodeBytes(tokenizer.encode($0)) } == bytes)
      }
    }
  }

  @Test("a streaming decoder gives whole scalars and, joined, the text")
  func streaming() throws {
    let tokenizer = try Fixtures.tokenizer("gpt2")
    for tokens in try Fixtures.cases().tokens["gpt2"]! {
      var decoder = StreamingDecoder(tokenizer)
      let pieces = tokens.map { decoder.append($0) }
      #expect(!pieces.joined().contains("\u{fffd}") || tokenizer.decode(tokens).contains("\u{fffd}"))
      #expect(Array((pieces.joined() + decoder.finish()).utf8) == Array(tokenizer.decode(tokens).utf8))
    }
    var decoder = StreamingDecoder(tokenizer)
    let smile = tokenizer.encode("😀")
    #expect(smile.count > 1 && decoder.append(smile[0]) == "")
    #expect(decoder.finish() == "\u{fffd}")
  }

  @Test("the heap merges as the scan does")
  func longMerges() throws {
    let tokenizer = try Fixtures.tokenizer("gpt2")
    var (merging, generator) = (PairMerging(table: tokenizer.tables.merges), SeededGenerator(state: 2))
    for _ in 0..<300 {
      let count = Int.random(in: 2...PairMerging.scanLimit, using: &generator)
      let letters = (0..<count).map { _ in
        tokenizer.tables.byteTokens[Int("etahn ".utf8.randomElement(using: &generator)!)]
      }
      var (a, b) = (letters, letters)
      let countA = a.withUnsafeMutableBufferPointer { merging.merge($0.baseAddress!, count: count) }
      let countB = b.withUnsafeMutableBufferPointer { merging.mergeLong($0.baseAddress!, count) }
      #expect(a[..<countA] == b[..<countB])
    }
  }
}
