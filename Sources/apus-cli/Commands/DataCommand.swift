import ApusCore
import ApusData
import ApusReport
import ApusTraining
import Foundation

/// `apus data`: turns texts into datasets.
enum DataCommand {
  static let entry = CommandEntry.group(
    name: "data", summary: "Turn text into token files to train on.", commands: [Prepare.self])

  /// `apus data prepare INPUTS... --tokenizer T --output FOLDER`
  enum Prepare: Command {
    static let name = "prepare"
    static let summary = "Encode text into a folder of token files, one for training and one for validation."
    static let arguments = ArgumentsSpecification(
      positionals: [
        Positional(
          "INPUT", repeated: true,
          help: "Text files (UTF-8) or JSON lines (.jsonl, .ndjson), or globs in quotes.")
      ],
      options: [
        .value("tokenizer", "TOKENIZER", help: "A tokenizer.json, or a folder with one, such as a run."),
        .value("output", "FOLDER", help: "The folder to write."),
        .value(
          "validation", "GLOB", repeated: true,
          help: "Files for validation; those that INPUT names too are taken out of training."),
        .value(
          "validation-fraction", "F", .number,
          help: "The share of the bytes, at the end, that is held out when no --validation is given; 0 for "
            + "none. \(fraction) when not given."),
        .value("text-field", "NAME", default: "text", help: "The field of a JSON line that holds the text."),
        .threads,
        .flag("json", help: "Print the numbers as JSON."),
      ])

    private static let fraction = 0.1

    static func run(_ arguments: ParsedArguments) throws {
      let tokenizerPath = try arguments.needed("tokenizer", example: "tokenizer.json")
      let place = try OutputPlace(arguments.needed("output", example: "data"), .folder)
      let preparation = try preparation(arguments)
      let tokenizer = try TokenizerInput(tokenizerPath)

      let watch = Stopwatch()
      var folder = try AsideFolder(for: place)
      let summary = try encode(preparation, tokenizer.tokenizer, into: folder.url)
      try folder.copy(tokenizer.file, as: "tokenizer.json")
      try folder.finish()
      let result = Result(output: place.path, summary, seconds: watch.seconds)
      if arguments.flag("json") {
        try StandardOutput.write(json: result)
      } else {
        try StandardOutput.write(result.text)
      }
    }

    private static func preparation(_ arguments: ParsedArguments) throws -> DatasetPreparation {
      let held = arguments.all("validation")
      let fraction = arguments.number("validation-fraction")
      if !held.isEmpty, fraction != nil {
        throw UsageError("both --validation and --validation-fraction are given; keep one")
      }
      if let fraction, !(0..<1).contains(fraction) {
        throw UsageError("--validation-fraction is \(fraction); use a number from 0 to below 1, such as 0.1")
      }
      let key = arguments.required("text-field")
      let inputs = try Corpus(arguments.all("INPUT"), key: key)
      guard !held.isEmpty else {
        return DatasetPreparation(
          corpus: inputs, validationFraction: fraction ?? Self.fraction, threads: arguments.threads)
      }
      let validation = try Corpus(held, key: key)
      let heldPlaces = Set(validation.files.map(place))
      let kept = inputs.files.filter { !heldPlaces.contains(place($0)) }
      guard !kept.isEmpty else {
        throw UsageError("--validation takes every INPUT; leave some for training")
      }
      return DatasetPreparation(
        corpus: try Corpus(kept, key: key), validationCorpus: validation,
        threads: arguments.threads)
    }

    /// One name for a file, however it is written.
    private static func place(_ path: String) -> String {
      URL(fileURLWithPath: path).resolvingSymlinksInPath().standardizedFileURL.path
    }

    private static func encode(
      _ preparation: DatasetPreparation, _ tokenizer: Tokenizer, into folder: URL
    ) throws -> DatasetSummary {
      var total = 0
      if ByteProgress.isWanted {
        total = try preparation.corpus.byteCount()
        total += try preparation.validationCorpus?.byteCount() ?? 0
      }
      let progress = ByteProgress(total: total)
      return try preparation.run(tokenizer: tokenizer, folder: folder) { progress.show($0) }
    }

    private struct Result: Encodable {
      let output: String
      let tokenizerFingerprint: String
      let vocabularySize: Int
      let train: DatasetSummary.Split
      let validation: OrNull<DatasetSummary.Split>
      let seconds: Double
      let bytesPerSecond: Double

      init(output: String, _ summary: DatasetSummary, seconds: Double) {
        self.output = output
        tokenizerFingerprint = summary.tokenizerFingerprint
        vocabularySize = summary.vocabularySize
        (train, validation) = (summary.train, OrNull(summary.validation))
        self.seconds = seconds
        let bytes = summary.train.bytes + (summary.validation?.bytes ?? 0)
        bytesPerSecond = Double(bytes) / max(seconds, 1e-9)
      }

      var text: String {
        var table = TextTable([
          .text("file"), .number("tokens"), .number("bytes"), .number("bytes/token"), .number("documents"),
        ])
        for split in [train, validation.value].compactMap({ $0 }) {
          table.add([
            split.file, split.tokens.grouped, split.bytes.grouped,
            (Double(split.bytes) / Double(split.tokens)).formatted(decimals: 3), split.documents.grouped,
          ])
        }
        return "\(table)\nwrote \(output) in \(seconds.formatted(decimals: 2)) s, "
          + "\(ByteCount(Int(bytesPerSecond)))/s\n"
      }
    }
  }
}
