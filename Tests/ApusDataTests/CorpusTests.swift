import ApusData
import Foundation
import Testing

@Suite("Documents and datasets")
struct CorpusTests {
  private func texts(_ corpus: Corpus) throws -> [String] {
    var texts: [String] = []
    try corpus.forEachDocument { texts.append(String(decoding: $0.bytes, as: UTF8.self)) }
    return texts
  }

  private func put(_ content: String, _ name: String, in folder: URL) throws {
    try Data(content.utf8).write(to: folder.appending(path: name))
  }

  @Test("text files are one document, JSON lines one a line, globs are sorted")
  func documents() throws {
    try withTemporaryFolder { folder in
      try put("second\n", "b.txt", in: folder)
      try put("first", "a.txt", in: folder)
      try put(
        "{\"text\": \"x\\n\\u00e9\\ud83d\\ude00\", \"n\": [1, {}]}\n\n{\"text\":\"\"}\r\n", "c.jsonl",
        in: folder)
      let corpus = try Corpus([folder.path + "/*.txt", folder.path + "/c.jsonl"])
      #expect(try texts(corpus) == ["first", "second\n", "x\né😀", ""])
      #expect(try corpus.byteCount() == 5 + 7 + 8)
      #expect(message { _ = try Corpus([folder.path + "/*.md"]) }.contains("no such file"))
      #expect(
        message { _ = try Corpus([folder.path + "/a.txt", folder.path + "/a.*"]) }.contains("named twice"))
      #expect(message { _ = try texts(try Corpus([folder.path])) }.contains("not a regular file"))
    }
  }

  @Test("faults are named with file and place")
  func faults() throws {
    try withTemporaryFolder { folder in
      func problem(_ bytes: [UInt8], _ name: String) -> String {
        message {
          try Data(bytes).write(to: folder.appending(path: name))
          _ = try texts(try Corpus([folder.path + "/" + name]))
        }
      }
      let good = Array("0123456789é".utf8)
      #expect(problem(good + [0xc3], "a.txt").contains("a.txt: not UTF-8 at byte 12"))
      for bad: [UInt8] in [
        [0x80], [0xc0, 0x80], [0xed, 0xa0, 0x80], [0xf4, 0x90, 0x80, 0x80], [0xe0, 0x80, 0x80], [0xff],
      ] {
        #expect(problem(good + bad + good, "a.txt").contains("at byte 12"))
      }
      #expect(problem(Array("{\"text\":1}".utf8), "a.jsonl").contains("line 1 has no text under the key"))
      #expect(problem(Array("{\"text\":\"a\"}\n{\"text\":\"a\"".utf8), "a.jsonl").contains("at byte 24"))
      #expect(problem(Array("{\"text\":\"\\ud800\"}".utf8), "a.jsonl").contains("lone surrogate"))
    }
  }

  @Test("one text is cut after the newline that follows nine tenths")
  func cut() throws {
    try withTemporaryFolder { folder in
      let whole = (0..<100).map { "line number \($0)\n" }.joined()
      try put(whole, "a.txt", in: folder)
      let tokenizer = try Tokenizer.train(on: [whole], vocabularySize: 270)
      let preparation = DatasetPreparation(corpus: try Corpus([folder.path + "/a.txt"]), threads: 2)
      let summary = try preparation.run(tokenizer: tokenizer, folder: folder.appending(path: "set"))
      let train = try TokenFile(path: folder.path + "/set/train.bin")
      let validation = try #require(summary.validation)
      let held = try TokenFile(path: folder.path + "/set/validation.bin")
      func text(of file: TokenFile) -> String { tokenizer.decode((0..<file.count).map { file[$0] }) }
      #expect(text(of: train) + text(of: held) == whole)
      #expect(text(of: held).hasPrefix("line number 90\n") || text(of: held).hasPrefix("line number 91\n"))
      #expect(summary.train.tokens == train.count && validation.tokens == held.count)
      #expect(summary.train.bytes + validation.bytes == whole.utf8.count)
      #expect(summary.tokenizerFingerprint == tokenizer.fingerprint)
      #expect(try DatasetSummary(contentsOf: folder.appending(path: "set/dataset.json")) == summary)
    }
  }

  @Test("documents are apart by the end-of-text token; validation may have texts of its own")
  func separators() throws {
    try withTemporaryFolder { folder in
      try put(
        "{\"text\":\"ab\"}\n{\"text\":\"\"}\n{\"text\":\"cd\"}\n{\"text\":\"e\"}\n", "a.jsonl", in: folder)
      try put("held", "v.txt", in: folder)
      let tokenizer = try Tokenizer.train(on: ["x"], vocabularySize: 257)
      let end = try #require(tokenizer.endOfText)
      func tokens(_ name: String) throws -> [Int32] {
        let file = try TokenFile(path: folder.appending(path: name).path)
        return (0..<file.count).map { file[$0] }
      }
      var preparation = DatasetPreparation(
        corpus: try Corpus([folder.path + "/a.jsonl"]), validationCorpus: try Corpus([folder.path + "/v.txt"])
      )
      let summary = try preparation.run(tokenizer: tokenizer, folder: folder)
      #expect(try tokens("train.bin") == [64, 65, end, 66, 67, end, 68])
      #expect(try tokens("validation.bin") == tokenizer.encode("held"))
      #expect(summary.train == .init(file: "train.bin", tokens: 7, bytes: 5, documents: 3))
      #expect(summary.sources.map(\.bytes) == [53, 4])

      (preparation.validationCorpus, preparation.validationFraction) = (nil, 0.2)
      #expect(try preparation.run(tokenizer: tokenizer, folder: folder).validation?.bytes == 1)
      preparation.validationFraction = 0
      #expect(try preparation.run(tokenizer: tokenizer, folder: folder).validation == nil)
      preparation.validationFraction = 1.5
      #expect(message { _ = try preparation.run(tokenizer: tokenizer, folder: folder) }.contains("1.5"))
      preparation.validationFraction = 0.01
      #expect(
        message { _ = try preparation.run(tokenizer: tokenizer, folder: folder) }.contains(
          "validation.bin would be empty"))
      let silent = try Tokenizer.train(on: ["x"], vocabularySize: 256, specialTokens: [])
      #expect(
        message { _ = try preparation.run(tokenizer: silent, folder: folder) }.contains(
          "no end-of-text token"))
    }
  }
}
