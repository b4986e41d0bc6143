import ApusCore
import ApusData
import ApusTraining
import Foundation

extension TokenizerCommand {
  /// `apus tokenizer encode TOKENIZER [FILE]`
  enum Encode: Command {
    static let name = "encode"
    static let summary = "Turn text into token ids."
    static let arguments = ArgumentsSpecification(
      positionals: [
        tokenizerPositional,
        Positional(
          "FILE", required: false, help: "A text file (UTF-8); - or nothing for the standard input."),
      ],
      options: [
        .value("text", "TEXT", help: "The text itself, instead of a file."),
        .value(
          "output", "FILE",
          help: "Where the ids go instead of the standard output; a name ending in .bin is written as a "
            + "token file of llm.c."),
        .flag("special-tokens", help: "Add what the tokenizer puts around a text, such as begin-of-text."),
        .threads,
        .flag(
          "json", help: "Print counts and speed as JSON; with the ids, unless --output takes them."),
      ])

    static func run(_ arguments: ParsedArguments) throws {
      if arguments.text("text") != nil, arguments.text("FILE") != nil {
        throw UsageError("both a FILE and --text are given; keep one")
      }
      let place = try arguments.text("output").map { path throws(CommandError) in
        try OutputPlace(path, .file(named: "ids.txt"))
      }
      let tokenizer = try TokenizerInput(arguments.required("TOKENIZER")).tokenizer
      let input =
        try arguments.text("text").map { InputBytes(text: $0) }
        ?? InputBytes(arguments.text("FILE"), orElse: "give a FILE, - for the standard input, or --text TEXT")
      try input.checkText()

      // The first text pays for tables that all later ones use; the speed is that of the others.
      _ = tokenizer.encode(" ")
      let watch = Stopwatch()
      var ids = input.withBytes { tokenizer.encode($0, threads: arguments.threads) }
      if arguments.flag("special-tokens") {
        ids = tokenizer.definition.prefix + ids + tokenizer.definition.suffix
      }
      let seconds = watch.seconds

      if let place { try write(ids, to: place, vocabularySize: tokenizer.vocabularySize) }
      let result = Result(
        output: place?.path, bytes: input.count, tokens: ids.count, seconds: seconds,
        bytesPerSecond: Double(input.count) / max(seconds, 1e-9), ids: place == nil ? ids : nil)
      if arguments.flag("json") {
        try StandardOutput.write(json: result)
      } else if place != nil {
        try StandardOutput.write(result.text)
      } else {
        try StandardOutput.write(line(ids))
      }
    }

    private static func write(_ ids: [Int32], to place: OutputPlace, vocabularySize: Int) throws {
      guard place.path.hasSuffix(".bin") else { return try place.write(line(ids)) }
      try place.makeParent()
      var writer = try TokenFileWriter(
        path: place.path, format: TokenFileFormat(vocabularySize: vocabularySize))
      try writer.append(ids)
      try writer.finish()
    }

    /// The ids with a space between each two, and a line feed.
    private static func line(_ ids: [Int32]) -> [UInt8] {
      var bytes: [UInt8] = []
      bytes.reserveCapacity(ids.count * 6 + 1)
      for (index, id) in ids.enumerated() {
        if index > 0 { bytes.append(0x20) }
        bytes.append(contentsOf: String(id).utf8)
      }
      bytes.append(0x0a)
      return bytes
    }

    private struct Result: Encodable {
      let output: String?
      let bytes: Int
      let tokens: Int
      /// Encoding alone.
      let seconds: Double
      let bytesPerSecond: Double
      let ids: [Int32]?

      var text: String {
        "\(output ?? ""): \(counted(tokens, "token")) of \(counted(bytes, "byte")) in "
          + "\(seconds.formatted(decimals: 2)) s, \(ByteCount(Int(bytesPerSecond)))/s\n"
      }
    }
  }
}
