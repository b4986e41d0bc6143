import ApusData
import Foundation
import Testing

@Suite("Tokenizers that Apus does not follow are refused")
struct TokenizerRefusalTests {
  /// Reads a fixture after replacing a part of its text, and returns the error.
  private func refusal(_ name: String = "llama3", replacing old: String, with new: String) throws -> String {
    var text = try String(contentsOf: Fixtures.url(name), encoding: .utf8)
    try #require(text.contains(old))
    text.replace(old, with: new, maxReplacements: 1)
    var result = ""
    try withTemporaryFolder { folder in
      let url = folder.appending(path: "tokenizer.json")
      try text.write(to: url, atomically: true, encoding: .utf8)
      result = message { _ = try Tokenizer(contentsOf: url) }
    }
    #expect(result.contains("tokenizer.json") && !result.contains("\n"))
    return result
  }

  @Test("parts that would change the tokens")
  func parts() throws {
    let changes: [(old: String, new: String, names: String)] = [
      (#""normalizer":null"#, #""normalizer":{"type":"NFC"}"#, "normalizer of type NFC"),
      (#""truncation":null"#, #""truncation":{"max_length":3}"#, "truncation"),
      (#""type":"BPE""#, #""type":"WordPiece""#, "model of type WordPiece"),
      (#""byte_fallback":false"#, #""byte_fallback":true"#, "byte_fallback"),
      (#""dropout":null"#, #""dropout":0.1"#, "dropout"),
      (#""end_of_word_suffix":null"#, #""end_of_word_suffix":"</w>""#, "end_of_word_suffix"),
      (#""behavior":"Isolated""#, #""behavior":"Removed""#, "Isolated"),
      (#""invert":false"#, #""invert":true"#, "inverted"),
      (#""type":"Split""#, #""type":"Punctuation""#, "pre_tokenizer of type Punctuation"),
      (#""type":"TemplateProcessing""#, #""type":"BertProcessing""#, "post_processor of type BertProcessing"),
      (#""decoder":{"type":"ByteLevel""#, #""decoder":{"type":"Metaspace""#, "decoder of type Metaspace"),
      (#"\\s*[\\r\\n]+"#, #"\\b[\\r\\n]+"#, "\\b"),
      (#"(?i:'s"#, #"(?i:('s"#, "parenthes"),
      (#""Ā":"#, #""ĀĀ":"#, "no token for byte 0"),
    ]
    for change in changes {
      let text = try refusal(replacing: change.old, with: change.new)
      #expect(text.contains(change.names), "\(change.new): \(text)")
    }
  }

  @Test("contradictions")
  func contradictions() throws {
    #expect(try refusal("gpt2", replacing: #"["Ġ","t"]"#, with: #"["Ġ","nowhere"]"#).contains("merge"))
    #expect(
      try refusal("gpt2", replacing: #"["Ġ","t"]"#, with: #"["z","Ġ"]"#).contains("not in the vocabulary"))
    #expect(try refusal("gpt2", replacing: #""id":800"#, with: #""id":5"#).contains("the vocabulary uses"))
    #expect(try refusal(replacing: #""ids":["#, with: #""ids":[9999, "#).contains("template uses token 9999"))
    #expect(try refusal("gpt2", replacing: #""merges":"#, with: #""merged":"#).contains("no merges"))
    #expect(try refusal("gpt2", replacing: #"{"version""#, with: #"["version""#).contains("at byte 10"))
  }

  @Test("a missing file")
  func missing() {
    let text = message { _ = try Tokenizer(contentsOf: URL(filePath: "/nowhere/tokenizer.json")) }
    #expect(text == "/nowhere/tokenizer.json: cannot open the file: No such file or directory")
  }
}
