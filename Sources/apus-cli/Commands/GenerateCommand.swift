import ApusData
import ApusRuntime
import ApusTraining
import Foundation

/// `apus generate MODEL`: text that continues a prompt.
enum GenerateCommand: Command {
  static let name = "generate"
  static let summary = "Continue a prompt with a run, a checkpoint or a Hugging Face folder."
  static let arguments = ArgumentsSpecification(
    positionals: [Positional("MODEL", help: "A run folder, a checkpoint or a Hugging Face folder.")],
    options: [
      .value("prompt", "TEXT", help: "The text to continue."),
      .value(
        "prompt-tokens", "IDS", help: "Token ids to continue, as in 1,2,3: for folders without a tokenizer."),
      .value("tokens", "N", .integer(1...10_000_000), default: "200", help: "New tokens at most."),
      .value(
        "temperature", "T", .number, default: "1", help: "Divides the logits; 0 takes the likeliest token."),
      .value(
        "top-k", "K", .integer(0...100_000_000), default: "0", help: "Only the K likeliest tokens; 0 = all."),
      .value(
        "top-p", "P", .number, default: "1", help: "Only the likeliest tokens that reach probability P."),
      .value("seed", "N", .integer(0...Int.max), default: "0", help: "The same seed writes the same text."),
      .value("stop", "TEXT", repeated: true, help: "End before this text."),
      .value("step", "N", .integer(0...Int.max), help: "Which checkpoint of a run (default: the latest)."),
      .value("threads", "N", .integer(1...4096), help: "Threads to use (default: one a core)."),
      .flag("json", help: "Print prompt, text, ids and speed as one JSON object at the end."),
    ])

  struct Result: Encodable {
    var text: String?
    var tokens: [Int32]
    var promptTokens: [Int32]
    var tokensPerSecond: Double
  }

  static func run(_ arguments: ParsedArguments) throws {
    let temperature = arguments.number("temperature") ?? 1
    let topP = arguments.number("top-p") ?? 1
    guard temperature >= 0 else { throw UsageError("--temperature \(temperature): use 0 or more") }
    guard topP > 0, topP <= 1 else { throw UsageError("--top-p \(topP): use a number above 0 and up to 1") }
    let model = try ModelFolder(
      arguments.required("MODEL"), step: arguments.integer("step"), warn: StandardError.note)
    let tokenizer = try model.tokenizer.map { try Tokenizer(contentsOf: $0) }
    let prompt = try promptTokens(arguments, tokenizer, vocabularySize: model.configuration.vocabularySize)
    let stops = arguments.all("stop")
    if tokenizer == nil, !stops.isEmpty { throw UsageError("--stop needs a folder with a tokenizer.json") }
    let count = arguments.integer("tokens") ?? 200
    let threads = arguments.integer("threads") ?? ArithmeticLibrary.defaultThreads
    let generator = try Generator(model.configuration, capacity: prompt.count + count, threads: threads)
    try WeightExchange(generator.executor).read(from: model.source)

    var output = GeneratedText(tokenizer, stops: stops, echoes: !arguments.flag("json"))
    if let text = arguments.text("prompt"), !arguments.flag("json") { try output.echo(text) }
    let watch = Stopwatch()
    try generator.generate(
      prompt, count: count,
      choosing: Sampling(
        temperature: temperature, topK: arguments.integer("top-k") ?? 0, topP: topP,
        seed: UInt64(arguments.integer("seed") ?? 0))
    ) { try output.append($0) }
    try output.finish()
    if arguments.flag("json") {
      try print(
        JSONText.of(
          Result(
            text: tokenizer == nil ? nil : output.text, tokens: output.tokens, promptTokens: prompt,
            tokensPerSecond: Double(output.tokens.count) / watch.seconds)))
    }
  }

  private static func promptTokens(
    _ arguments: ParsedArguments, _ tokenizer: Tokenizer?, vocabularySize: Int
  ) throws -> [Int32] {
    var ids: [Int32]
    if let list = arguments.text("prompt-tokens") {
      guard arguments.text("prompt") == nil else {
        throw UsageError("give --prompt or --prompt-tokens, not both")
      }
      ids = try list.split(separator: ",", omittingEmptySubsequences: false).map { word in
        guard let id = Int32(word.trimmingCharacters(in: .whitespaces)) else {
          throw UsageError("--prompt-tokens: \"\(word)\" is no token id; give numbers as in 1,2,3")
        }
        return id
      }
    } else {
      guard let tokenizer else {
        throw UsageError("the model has no tokenizer.json: give --prompt-tokens instead of --prompt")
      }
      ids = tokenizer.encode(arguments.text("prompt") ?? "")
      if ids.isEmpty, let first = tokenizer.endOfText { ids = [first] }
    }
    guard !ids.isEmpty else { throw UsageError("the prompt is empty: give --prompt TEXT") }
    if let id = ids.first(where: { $0 < 0 || Int($0) >= vocabularySize }) {
      throw UsageError("token \(id) is not in the model's vocabulary of \(vocabularySize)")
    }
    return ids
  }
}

/// Text as it is generated: printed piece by piece, ended before a stop text.
struct GeneratedText {
  private(set) var tokens: [Int32] = []
  private(set) var text = ""
  private let tokenizer: Tokenizer?
  private var decoder: StreamingDecoder?
  private let stops: [String]
  private let echoes: Bool
  /// How much of `text` is printed; a beginning of a stop text is held back.
  private var printed = 0

  init(_ tokenizer: Tokenizer?, stops: [String], echoes: Bool) {
    self.tokenizer = tokenizer
    self.stops = stops.filter { !$0.isEmpty }
    self.echoes = echoes
    decoder = tokenizer.map { StreamingDecoder($0) }
  }

  /// Prints text that is not part of what is generated.
  func echo(_ text: String) throws { try StandardOutput.write(text) }

  /// Adds a token; false where the text has ended.
  mutating func append(_ token: Int32) throws -> Bool {
    if let end = tokenizer?.endOfText, token == end { return false }
    tokens.append(token)
    guard decoder != nil else {
      if echoes { try echo("\(tokens.count == 1 ? "" : " ")\(token)") }
      return true
    }
    text += decoder?.append(token) ?? ""
    if let stop = stops.compactMap({ text.range(of: $0)?.lowerBound }).min() {
      text = String(text[..<stop])
      return false
    }
    try printReady(holdingBack: (stops.map(\.count).max() ?? 1) - 1)
    return true
  }

  mutating func finish() throws {
    // Bytes of an unfinished character at the end belong to the text unless a stop text cut it.
    if stops.isEmpty { text += decoder?.finish() ?? "" }
    try printReady(holdingBack: 0)
    if echoes { try echo("\n") }
  }

  private mutating func printReady(holdingBack: Int) throws {
    let ready = text.count - holdingBack
    guard echoes, ready > printed else { return }
    try echo(String(text.dropFirst(printed).prefix(ready - printed)))
    printed = ready
  }
}
