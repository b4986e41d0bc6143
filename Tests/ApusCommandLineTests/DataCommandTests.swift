import Foundation
import Testing

@Suite struct DataCommandTests {
  private func folder() throws -> ProgramFolder {
    let folder = try ProgramFolder()
    try folder.copy("ApusDataTests/gpt2.json", as: "t.json")
    try folder.write("one two\nthree four\nfive six\nseven eight\nnine ten\n", "a.txt")
    try folder.write(#"{"body":"eleven"}"# + "\n" + #"{"body":"twelve"}"# + "\n", "b[1].jsonl")
    return folder
  }

  @Test func holdsOutTheEnd() throws {
    let folder = try folder()
    let facts = try folder.succeed(
      "data", "prepare", "a.txt", "--tokenizer", "t.json", "--output", "d", "--validation-fraction", "0.2",
      "--json"
    ).json()
    #expect(
      try folder.names() == [
        "a.txt", "b[1].jsonl", "d", "d/dataset.json", "d/tokenizer.json", "d/train.bin", "d/validation.bin",
        "t.json",
      ])
    let train = try folder.succeed("tokenizer", "decode", "d", "d/train.bin").text
    let validation = try folder.succeed("tokenizer", "decode", "d", "d/validation.bin").text
    #expect(train == "one two\nthree four\nfive six\nseven eight\n" && validation == "nine ten\n")
    let split = try #require(facts["validation"] as? [String: Any])
    #expect(split["bytes"] as? Int == 9 && split["documents"] as? Int == 1)
    #expect(try folder.read("d/tokenizer.json") == folder.read("t.json"))
  }

  /// A file whose name is a pattern, JSON lines, and validation files that the inputs name too.
  @Test func validationFiles() throws {
    let folder = try folder()
    let text = try folder.succeed(
      "data", "prepare", "./a.txt", "b[1].jsonl", "--validation", "a.*", "--text-field", "body",
      "--tokenizer", "t.json", "--output", "deep/d"
    ).text
    #expect(text.contains("wrote deep/d in "))
    #expect(
      try folder.succeed("tokenizer", "decode", "t.json", "deep/d/train.bin").text
        == "eleven<|endoftext|>twelve")
    #expect(
      try folder.succeed("tokenizer", "decode", "t.json", "deep/d/validation.bin").output
        == folder.read("a.txt"))
  }

  @Test func withoutValidation() throws {
    let folder = try folder()
    let facts = try folder.succeed(
      "data", "prepare", "a.txt", "--tokenizer", "t.json", "--output", "d", "--validation-fraction", "0",
      "--json"
    ).json()
    #expect(facts["validation"] is NSNull)
    #expect(try !folder.names().contains("d/validation.bin"))
  }
}
