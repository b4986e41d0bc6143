import ApusCore
import Synchronization

/// A byte-level BPE tokenizer: text to tokens and back, exactly as the `tokenizers` library does it.
///
/// One tokenizer serves any number of threads at once.
///
///     let tokenizer = try Tokenizer(contentsOf: URL(filePath: "tokenizer.json"))
///     let tokens = tokenizer.encode("In the beginning")
///     let text = tokenizer.decode(tokens)
package final class Tokenizer: Sendable {
  package let definition: TokenizerDefinition
  package let tables: EncodingTables
  private let idleSessions = Mutex<[EncodingSession]>([])
  private let decodedBytes: [UInt8]
  private let decodedStarts: [Int]
  private let specialTokens: Set<Int32>

  /// One more than the largest token id: what a model's vocabulary must at least hold.
  package let vocabularySize: Int
  /// The token that stands between documents, if the tokenizer has one.
  package let endOfText: Int32?

  /// Makes a tokenizer from its parts, after checking that they fit together.
  package convenience init(definition: TokenizerDefinition) throws(DataError) {
    try self.init(definition: definition, path: "tokenizer")
  }

  init(definition: TokenizerDefinition, path: String) throws(DataError) {
    do {
      try Self.checkAddedTokens(definition)
      tables = try EncodingTables(definition)
    } catch {
      throw .tokenizer(path: path, problem: error.description)
    }
    self.definition = definition
    let added = Dictionary(definition.addedTokens.map { ($0.id, $0) }) { $1 }
    vocabularySize = max(definition.vocabulary.count, (added.keys.max().map(Int.init) ?? -1) + 1)
    specialTokens = Set(definition.addedTokens.filter(\.isSpecial).map(\.id))
    endOfText =
      Self.endOfTextNames.lazy.compactMap { name in added.values.first { $0.content == name }?.id }.first

    var (bytes, starts): ([UInt8], [Int]) = ([], [0])
    for id in 0..<vocabularySize {
      if let token = added[Int32(id)] {
        bytes += Array(token.content.utf8)
      } else if id < definition.vocabulary.count, let entry = definition.vocabulary[id] {
        bytes += ByteAlphabet.bytes(of: entry) ?? Array(entry.utf8)
      }
      starts.append(bytes.count)
    }
    (decodedBytes, decodedStarts) = (bytes, starts)
  }

  private static let endOfTextNames = ["<|endoftext|>", "<|end_of_text|>", "</s>", "<eos>", "<|eos|>"]

  private static func checkAddedTokens(_ definition: TokenizerDefinition) throws(TokenizerProblem) {
    let known = Dictionary(
      definition.vocabulary.enumerated().compactMap { id, entry in entry.map { ($0, Int32(id)) } }
    ) { $1 }
    for token in definition.addedTokens {
      if token.id < 0 { throw TokenizerProblem("added token \(token.content) has id \(token.id)") }
      let inModel = known[token.content]
      let taken = token.id < definition.vocabulary.count && definition.vocabulary[Int(token.id)] != nil
      if let inModel, inModel != token.id {
        throw TokenizerProblem(
          "added token \(token.content) has id \(token.id), but \(inModel) in the vocabulary")
      }
      if inModel == nil, taken {
        throw TokenizerProblem("added token \(token.content) has id \(token.id), which the vocabulary uses")
      }
    }
    let ids = definition.addedTokens.map(\.id)
    if Set(ids).count < ids.count { throw TokenizerProblem("two added tokens share an id") }
    for id in definition.prefix + definition.suffix where !ids.contains(id) {
      guard definition.vocabulary.indices.contains(Int(id)), definition.vocabulary[Int(id)] != nil else {
        throw TokenizerProblem("the template uses token \(id), which is not in the vocabulary")
      }
    }
  }

  /// Lends a session of working memory to the body.
  func withSession<Result>(_ body: (EncodingSession) throws -> Result) rethrows -> Result {
    let session = idleSessions.withLock { $0.popLast() } ?? EncodingSession(tables)
    defer { idleSessions.withLock { $0.append(session) } }
    session.output.removeAll()
    return try body(session)
  }

  /// Appends the bytes that a token stands for; nothing for an id without a token.
  @inline(__always)
  func appendBytes(of token: Int32, skipSpecialTokens: Bool, to bytes: inout [UInt8]) {
    guard token >= 0, token < vocabularySize else { return }
    if skipSpecialTokens, specialTokens.contains(token) { return }
    bytes += decodedBytes[decodedStarts[Int(token)]..<decodedStarts[Int(token) + 1]]
  }
}
