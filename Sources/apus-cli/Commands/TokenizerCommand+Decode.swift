import ApusCore
import ApusData
import Foundation

extension TokenizerCommand {
  /// `apus tokenizer decode TOKENIZER [FILE]`
  enum Decode: Command {
    static let name = "decode"
    static let summary = "Turn token ids back into text."
    static let arguments = ArgumentsSpecification(
      positionals: [
        tokenizerPositional,
        Positional(
          "FILE", required: false,
          help: "Ids separated by spaces, lines or commas, or a token file (.bin); - or nothing for ids from "
            + "the standard input."),
      ],
      options: [.flag("skip-special-tokens", help: "Leave special tokens out of the text.")])

    /// Tokens that are decoded before they are written.
    private static let batchCount = 1 << 16

    static func run(_ arguments: ParsedArguments) throws {
      let tokenizer = try TokenizerInput(arguments.required("TOKENIZER")).tokenizer
      let skips = arguments.flag("skip-special-tokens")
      if let path = arguments.text("FILE"), path.hasSuffix(".bin") {
        let file = try TokenFile(path: path)
        try file.checkTokens(vocabularySize: tokenizer.vocabularySize)
        for start in stride(from: 0, to: file.count, by: batchCount) {
          let tokens = (start..<min(start + batchCount, file.count)).lazy.map { file[$0] }
          try StandardOutput.write(tokenizer.decodeBytes(tokens, skipSpecialTokens: skips))
        }
        return
      }
      let input = try InputBytes(
        arguments.text("FILE"), orElse: "give a FILE of ids, or - for the standard input")
      // All ids are read before the first text is written: bad input gives no half output.
      let ids = try parse(input, vocabularySize: tokenizer.vocabularySize)
      for start in stride(from: 0, to: ids.count, by: batchCount) {
        let tokens = ids[start..<min(start + batchCount, ids.count)]
        try StandardOutput.write(tokenizer.decodeBytes(tokens, skipSpecialTokens: skips))
      }
    }

    private static func parse(_ input: InputBytes, vocabularySize: Int) throws -> [Int32] {
      try input.withBytes { bytes in
        var ids: [Int32] = []
        for word in bytes.split(whereSeparator: { $0 <= 0x20 || $0 == 0x2c }) {
          let text = String(decoding: word.prefix(24), as: UTF8.self)
          guard let number = Int(text) else {
            throw CommandError.input(
              path: input.name,
              problem: "has \"\(text)\" at position \(ids.count.grouped); token ids are whole numbers "
                + "separated by spaces, lines or commas")
          }
          guard number >= 0, number < vocabularySize else {
            throw CommandError.input(
              path: input.name,
              problem: "has the id \(number.grouped) at position \(ids.count.grouped), but the tokenizer has "
                + "\(vocabularySize.grouped) tokens; decode with the tokenizer that encoded")
          }
          ids.append(Int32(number))
        }
        return ids
      }
    }
  }
}
