import ApusCore
import ApusData
import ApusTraining
import Foundation

/// `apus tokenizer`: learns tokenizers, and turns text into tokens and back.
enum TokenizerCommand {
  static let entry = CommandEntry.group(
    name: "tokenizer", summary: "Train a tokenizer, or turn text into tokens and back.",
    commands: [Train.self, Encode.self, Decode.self])

  /// The positional that `encode` and `decode` share.
  static let tokenizerPositional = Positional(
    "TOKENIZER", help: "A tokenizer.json, or a folder with one, such as a run.")

  /// `apus tokenizer train FILES... --vocabulary-size N --output FILE`
  enum Train: Command {
    static let name = "train"
    static let summary = "Learn a byte-level BPE tokenizer from text."
    static let arguments = ArgumentsSpecification(
      positionals: [
        Positional(
          "FILE", repeated: true,
          help: "Text files (UTF-8) or JSON lines (.jsonl, .ndjson), or globs in quotes.")
      ],
      options: [
        .value(
          "vocabulary-size", "N", .integer(257...1 << 24),
          help: "Tokens to learn, the 256 bytes and the special tokens included."),
        .value("output", "FILE", help: "The tokenizer.json to write."),
        .value(
          "special", "TOKEN", repeated: true, default: "<|endoftext|>",
          help: "A special token, which gets one of the last ids."),
        .value(
          "style", "STYLE", .choice(Style.allCases.map(\.rawValue)), default: Style.gpt2.rawValue,
          help: "Whose rule splits the text into words."),
        .value("text-field", "NAME", default: "text", help: "The field of a JSON line that holds the text."),
        .threads,
        .flag("json", help: "Print the numbers as JSON."),
      ])

    enum Style: String, CaseIterable {
      case gpt2
      case llama3

      var splitRule: SplitRule { self == .gpt2 ? .gpt2 : .llama3(maximumDigits: 3) }
    }

    static func run(_ arguments: ParsedArguments) throws {
      let wanted = Int(try arguments.needed("vocabulary-size", example: "4096")) ?? 0
      let place = try OutputPlace(
        arguments.needed("output", example: "tokenizer.json"), .file(named: "tokenizer.json"))
      let specialTokens = arguments.all("special")
      let smallest = 256 + specialTokens.count
      guard wanted >= smallest else {
        throw UsageError(
          "--vocabulary-size is \(wanted); the 256 bytes and \(specialTokens.count) special tokens need "
            + "\(smallest.grouped) or more")
      }
      let corpus = try Corpus(arguments.all("FILE"), key: arguments.required("text-field"))
      let style = arguments.choice("style", Style.self) ?? .gpt2

      let watch = Stopwatch()
      var training = try TokenizerTraining(splitRule: style.splitRule)
      var bytes = 0
      try corpus.forEachDocument {
        training.add($0.bytes)
        bytes += $0.bytes.count
      }
      guard bytes > 0 else {
        throw CommandError.input(
          path: corpus.files.joined(separator: ", "), problem: "holds no text to learn from")
      }
      let tokenizer = try training.finish(vocabularySize: wanted, specialTokens: specialTokens)
      let seconds = watch.seconds

      var tokens = 0
      try corpus.forEachDocument { tokens += tokenizer.encode($0.bytes, threads: arguments.threads).count }
      try place.makeParent()
      try tokenizer.write(to: place.url)
      let result = Result(
        output: place.path, files: corpus.files.count, bytes: bytes, vocabularySize: tokenizer.vocabularySize,
        fingerprint: tokenizer.fingerprint, seconds: seconds, tokens: tokens,
        bytesPerToken: Double(bytes) / Double(tokens))
      if arguments.flag("json") {
        try StandardOutput.write(json: result)
      } else {
        try StandardOutput.write(result.text(wanted: wanted))
      }
    }

    /// What was learned, and how well it fits the text it was learned from.
    private struct Result: Encodable {
      let output: String
      let files: Int
      let bytes: Int
      let vocabularySize: Int
      let fingerprint: String
      /// Reading and learning, without the encoding that measures the fit.
      let seconds: Double
      let tokens: Int
      let bytesPerToken: Double

      func text(wanted: Int) -> String {
        let short =
          vocabularySize < wanted ? " instead of \(wanted.grouped): the text has no more pairs to merge" : ""
        let fit = bytesPerToken.formatted(decimals: 3)
        return """
          read     \(bytes.grouped) bytes in \(counted(files, "file"))
          learned  \(vocabularySize.grouped) tokens in \(seconds.formatted(decimals: 2)) s\(short)
          fit      \(tokens.grouped) tokens for that text, \(fit) bytes per token
          wrote    \(output)

          """
      }
    }
  }
}

/// `1 file`, `3 files`.
func counted(_ count: Int, _ noun: String) -> String { "\(count.grouped) \(noun)\(count == 1 ? "" : "s")" }
