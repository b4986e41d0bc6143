import Foundation
import Testing

@Suite struct TokenizerCommandTests {
  private let text = String(repeating: "In the beginning God created the heaven and the earth.\n", count: 20)

  /// What the `tokenizers` library made of the texts in the fixture.
  private struct Cases: Decodable {
    var texts: [String]
    var tokens: [String: [[Int]]]
    var withSpecialTokens: [String: [[Int]]]
  }

  @Test func trainsEncodesAndDecodes() throws {
    let folder = try ProgramFolder()
    try folder.write(text, "a.txt")
    let trained = try folder.succeed(
      "tokenizer", "train", "a.txt", "--vocabulary-size", "270", "--output", "made/tokenizer.json", "--json"
    ).json()
    #expect(trained["bytes"] as? Int == text.utf8.count)
    #expect(trained["vocabulary_size"] as? Int == 270)
    let tokens = try #require(trained["tokens"] as? Int)
    #expect(try #require(trained["bytes_per_token"] as? Double) == Double(text.utf8.count) / Double(tokens))

    let ids = try folder.succeed("tokenizer", "encode", "made", "a.txt").text
    #expect(ids.split(separator: " ").count == tokens && ids.hasSuffix("\n"))
    #expect(try folder.succeed("tokenizer", "decode", "made", "-", input: ids).text == text)
    #expect(try folder.succeed("tokenizer", "encode", "made", input: text).text == ids)

    for output in ["ids.txt", "ids.bin"] {
      let facts = try folder.succeed(
        "tokenizer", "encode", "made", "a.txt", "--output", output, "--json", "--threads", "2"
      ).json()
      #expect(facts["tokens"] as? Int == tokens && facts["ids"] == nil)
      #expect(try #require(facts["bytes_per_second"] as? Double) > 0)
      #expect(try folder.succeed("tokenizer", "decode", "made/tokenizer.json", output).text == text)
    }
    #expect(try String(decoding: folder.read("ids.txt"), as: UTF8.self) == ids)
    #expect(try folder.read("ids.bin").count == 1024 + 2 * tokens)
  }

  /// 0x80 alone is no character; its bytes come out as they went in.
  @Test func bytesAreExact() throws {
    let folder = try ProgramFolder()
    try folder.copy("ApusDataTests/gpt2.json", as: "t.json")
    let outcome = try folder.succeed("tokenizer", "decode", "t.json", input: "222 0")
    #expect(outcome.output.count == 2)
    #expect(try folder.succeed("tokenizer", "decode", "t.json").output.isEmpty)
  }

  @Test(arguments: ["gpt2", "llama3"]) func agreesWithTheLibrary(name: String) throws {
    let cases = try JSONDecoder().decode(
      Cases.self, from: Data(contentsOf: ProgramFolder.fixture("ApusDataTests/cases.json")))
    let folder = try ProgramFolder()
    try folder.copy("ApusDataTests/\(name).json", as: "tokenizer.json")
    for (index, text) in cases.texts.enumerated() where index % 16 == 3 {
      for (option, expected) in [([], cases.tokens), (["--special-tokens"], cases.withSpecialTokens)]
      where index < expected[name]?.count ?? 0 {
        let facts = try folder.apus(
          ["tokenizer", "encode", ".", "--json"] + option, input: text
        ).json()
        #expect(facts["ids"] as? [Int] == expected[name]?[index], "text \(index)")
      }
    }
  }

  @Test func stylesAndSpecialTokens() throws {
    let folder = try ProgramFolder()
    try folder.write("1234567 1234567 1234567", "a.txt")
    try folder.succeed(
      "tokenizer", "train", "a.txt", "--vocabulary-size", "300", "--style", "llama3", "--special", "<b>",
      "--special", "<e>", "--output", "t.json")
    // The words are 123, 456, 7 and the spaces: after 12, 45, 123 and 456 no pair is left. Byte 7 is id 22.
    let encoded = try folder.succeed("tokenizer", "encode", "t.json", "--text", "123456<b>7<e>").text
    #expect(encoded == "258 259 260 22 261\n")
    let decoded = try folder.succeed(
      "tokenizer", "decode", "t.json", "--skip-special-tokens", input: "258,259 260\n22 261")
    #expect(decoded.text == "1234567")
  }
}
