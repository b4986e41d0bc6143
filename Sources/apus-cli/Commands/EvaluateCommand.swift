import ApusConfiguration
import ApusCore
import ApusData
import ApusRuntime
import ApusTraining
import Foundation

/// `apus evaluate MODEL --data FILE.bin`: mean loss of a model over tokens.
enum EvaluateCommand: Command {
  static let name = "evaluate"
  static let summary = "Print the mean loss of a run, a checkpoint or a Hugging Face folder on a text."
  static let arguments = ArgumentsSpecification(
    positionals: [Positional("MODEL", help: "A run folder, a checkpoint or a Hugging Face folder.")],
    options: [
      .value("data", "FILE", help: "A token file (.bin), or a text file where the model has a tokenizer."),
      .value(
        "sequence-length", "N", .integer(1...100_000_000),
        help: "Tokens in a window (default: the longest the model takes)."),
      .value("step", "N", .integer(0...Int.max), help: "Which checkpoint of a run (default: the latest)."),
      .value("threads", "N", .integer(1...4096), help: "Threads to use (default: one a core)."),
      .flag("per-token", help: "Print the loss of every predicted token too."),
      .flag("json", help: "Print JSON."),
    ])

  struct Result: Encodable {
    var meanLoss: Double
    var tokens: Int
    var perplexity: Double
    var bitsPerByte: Double?
    var losses: [Float]?
  }

  static func run(_ arguments: ParsedArguments) throws {
    guard let path = arguments.text("data") else { throw UsageError("--data is missing: give a token file") }
    let model = try ModelFolder(
      arguments.required("MODEL"), step: arguments.integer("step"), warn: StandardError.note)
    let longest = model.configuration.maximumSequenceLength
    let length = arguments.integer("sequence-length") ?? longest
    guard length <= longest else {
      throw UsageError("--sequence-length \(length): the model takes at most \(longest)")
    }
    let vocabulary = model.configuration.vocabularySize
    let evaluator = Evaluator(
      model.configuration, sequenceLength: length,
      threads: arguments.integer("threads") ?? ArithmeticLibrary.defaultThreads
    ) { try WeightExchange($0).read(from: model.source) }
    let evaluation: Evaluator.Result
    var bytes: Int?
    if path.hasSuffix(".bin") {
      let file = try TokenFile(path: path)
      try file.checkTokens(vocabularySize: vocabulary)
      evaluation = try evaluator.run(count: file.count) { file[$0] }
    } else {
      guard let tokenizerFile = model.tokenizer else {
        throw UsageError("\(path) is text, but the model has no tokenizer.json: give a token file (.bin)")
      }
      let tokenizer = try Tokenizer(contentsOf: tokenizerFile)
      var (tokens, textBytes): ([Int32], Int) = ([], 0)
      try Corpus([path]).forEachDocument { document in
        if !tokens.isEmpty, let end = tokenizer.endOfText { tokens.append(end) }
        tokens += tokenizer.encode(document.bytes)
        textBytes += document.bytes.count
      }
      bytes = textBytes
      evaluation = try evaluator.run(count: tokens.count) { tokens[$0] }
    }
    guard evaluation.tokens > 0 else {
      throw UsageError("\(path) holds fewer than two tokens: there is nothing to predict")
    }
    let result = Result(
      meanLoss: evaluation.meanLoss, tokens: evaluation.tokens, perplexity: exp(evaluation.meanLoss),
      bitsPerByte: bytes.map { evaluation.meanLoss * Double(evaluation.tokens) / log(2) / Double($0) },
      losses: arguments.flag("per-token") ? evaluation.losses : nil)
    if arguments.flag("json") { return try print(JSONText.of(result)) }
    for loss in result.losses ?? [] { try print(loss) }
    let bits = result.bitsPerByte.map { ", \($0.formatted(decimals: 4)) bits per byte" } ?? ""
    try print(
      "mean loss \(result.meanLoss.formatted(decimals: 6)) over \(result.tokens.grouped) tokens, perplexity "
        + result.perplexity.formatted(decimals: 3) + bits)
  }
}
