import Foundation
import Testing

/// Wrong inputs: one line on standard error, a status, and nothing left behind.
@Suite struct CommandMistakeTests {
  struct Mistake: Sendable, CustomTestStringConvertible {
    let words: String
    let status: Int32
    let error: String
    var input = ""

    var testDescription: String { words }
  }

  private static let mistakes = [
    Mistake(
      words: "tokenizer train a.txt --output x.json", status: 2,
      error: "--vocabulary-size is missing; write for example --vocabulary-size 4096"),
    Mistake(
      words: "tokenizer train a.txt --vocabulary-size 257 --output x.json --special a --special b", status: 2,
      error: "--vocabulary-size is 257; the 256 bytes and 2 special tokens need 258 or more"),
    Mistake(
      words: "tokenizer train a.txt --vocabulary-size 300 --output t.json", status: 1,
      error: "t.json exists already; remove it or write --output t-3.json"),
    Mistake(
      words: "tokenizer train a.txt --vocabulary-size 300 --output full", status: 1,
      error: "full is a folder; write --output full/tokenizer.json"),
    Mistake(
      words: "tokenizer train bad.txt --vocabulary-size 300 --output new/x.json", status: 1,
      error: "bad.txt: not UTF-8 at byte 1; convert the file to UTF-8 (for example with iconv)"),
    Mistake(
      words: "tokenizer train empty.txt --vocabulary-size 300 --output x.json", status: 1,
      error: "empty.txt holds no text to learn from"),
    Mistake(
      words: "tokenizer train none*.txt --vocabulary-size 300 --output x.json", status: 1,
      error: "none*.txt: no such file; check the path or the pattern"),
    Mistake(
      words: "tokenizer encode full a.txt", status: 1,
      error: "full holds no tokenizer.json; name a tokenizer.json or a folder with one"),
    Mistake(
      words: "tokenizer encode gone a.txt", status: 1,
      error: "gone does not exist; name a tokenizer.json or a folder with one"),
    Mistake(
      words: "tokenizer encode a.txt t.json", status: 1,
      error: "a.txt is no tokenizer.json: not JSON: unexpected byte 97 at byte 0"),
    Mistake(
      words: "tokenizer encode t.json bad.txt --output new/x.bin", status: 1,
      error: "bad.txt: not UTF-8 at byte 1; convert the file to UTF-8 (for example with iconv)"),
    Mistake(
      words: "tokenizer encode t.json a.txt --text x", status: 2,
      error: "both a FILE and --text are given; keep one"),
    Mistake(
      words: "tokenizer encode t.json a.txt --output a.txt/x", status: 1,
      error: "cannot write a.txt/x: FOLDER/a.txt is a file, not a folder"),
    Mistake(
      words: "tokenizer decode t.json", status: 1,
      error: "standard input has \"x\" at position 2; token ids are whole numbers separated by spaces, lines "
        + "or commas", input: "1 2 x"),
    Mistake(
      words: "tokenizer decode t.json -", status: 1,
      error: "standard input has the id -1 at position 0, but the tokenizer has 805 tokens; decode with the "
        + "tokenizer that encoded", input: "-1"),
    Mistake(
      words: "data prepare a.txt --output d", status: 2,
      error: "--tokenizer is missing; write for example --tokenizer tokenizer.json"),
    Mistake(
      words: "data prepare a.txt --tokenizer t.json --output full", status: 1,
      error: "full exists already and is not empty; remove it or write --output full-2"),
    Mistake(
      words: "data prepare a.txt bad.txt --tokenizer t.json --output d", status: 1,
      error: "bad.txt: not UTF-8 at byte 1; convert the file to UTF-8 (for example with iconv)"),
    Mistake(
      words: "data prepare a.txt --tokenizer t.json --output d --validation a.txt", status: 2,
      error: "--validation takes every INPUT; leave some for training"),
    Mistake(
      words: "data prepare a.txt --tokenizer t.json --output d --validation-fraction 1", status: 2,
      error: "--validation-fraction is 1.0; use a number from 0 to below 1, such as 0.1"),
    Mistake(
      words: "data prepare empty.txt --tokenizer t.json --output d", status: 1,
      error: "empty.txt: validation.bin would be empty; give more text, or another validation fraction"),
    Mistake(
      words: "import gone --output d", status: 1, error: "gone does not exist; name a Hugging Face folder"),
    Mistake(
      words: "import full --output d", status: 1,
      error: "FOLDER/full: it has no config.json; a Hugging Face folder holds config.json and "
        + "model.safetensors"),
    Mistake(
      words: "import hf --output d", status: 1,
      error: "FOLDER/hf/tokenizer.json: has 805 tokens, more than the model's vocabulary of 13; without "
        + "tokenizer.json in the folder the weights alone are imported"),
    Mistake(
      words: "export gone --output d", status: 1,
      error: "gone does not exist; name a run or one of its checkpoints"),
    Mistake(
      words: "export hf --output d", status: 1,
      error: "hf is a Hugging Face folder; apus import makes a checkpoint of it"),
    Mistake(
      words: "export full --output d", status: 1,
      error: "full holds no checkpoints: neither checkpoints/ (a run) nor manifest.json (a checkpoint)"),
    Mistake(
      words: "checkpoint inspect full/step-00000001", status: 1,
      error: "full/step-00000001: damaged at step 1"),
    Mistake(
      words: "checkpoint inspect full/step-00000001 --step 1", status: 2,
      error: "--step chooses among the checkpoints of a run, but full/step-00000001 is one checkpoint"),
    Mistake(
      words: "validate empty.txt", status: 1, error: "empty.txt:1: is empty; the first line names the columns"
    ),
    Mistake(words: "validate a.txt", status: 1, error: "a.txt names columns and holds no runs"),
    Mistake(
      words: "plan llama-3-8b --devices 3 --batch-tokens 4096", status: 2,
      error:
        "no layout of data x tensor x context x pipeline shares 1 sequences evenly among 3 devices; change "
        + "--devices or --batch-tokens"),
    Mistake(
      words: "plan llama-3-8b --devices 8 --expert-size 64", status: 2,
      error: "--expert-size and --shared-expert-size need --experts"),
    Mistake(words: "forecast llama-3-8b --expert 2", status: 2, error: "--expert 2 needs --experts"),
    Mistake(
      words: "forecast llama-3-8b --experts 8 --expert 3 --data 3", status: 2,
      error: "--expert 3 divides not both 8 experts and data x context = 3"),
  ]

  @Test(arguments: mistakes) func oneLineAndNothingLeft(mistake: Mistake) throws {
    let folder = try ProgramFolder()
    try folder.copy("ApusDataTests/gpt2.json", as: "t.json")
    try folder.copy("ApusDataTests/gpt2.json", as: "t-2.json")
    try folder.copy("ApusCheckpointTests/llama-tied-sharded-float16", as: "hf")
    try folder.copy("ApusDataTests/gpt2.json", as: "hf/tokenizer.json")
    try folder.write("a text\n", "a.txt")
    try folder.write("", "empty.txt")
    try Data([0x61, 0xff]).write(to: folder.url.appending(path: "bad.txt"))
    let full = mistake.words.contains("step-") ? "full/step-00000001" : "full/sub"
    try FileManager.default.createDirectory(
      at: folder.url.appending(path: full), withIntermediateDirectories: true)
    let before = try folder.names()

    let outcome = try folder.apus(mistake.words.split(separator: " ").map(String.init), input: mistake.input)
    #expect(outcome.error == "apus: \(mistake.error)\n".replacing("FOLDER", with: folder.url.path))
    #expect(outcome.status == mistake.status)
    #expect(try folder.names() == before)
  }
}
