import ApusCore
import Foundation

extension Tokenizer {
  /// Reads a Hugging Face `tokenizer.json` of a byte-level BPE tokenizer. Parts that Apus does not follow,
  /// and that would change the tokens, are refused with their name.
  package convenience init(contentsOf url: URL) throws(DataError) {
    let file = try MappedFile(path: url.path)
    let json = try file.withBytes { bytes throws(DataError) in
      try JSONValue(parsing: bytes, of: file.path)
    }
    let definition: TokenizerDefinition
    do { definition = try TokenizerReading(json).definition() } catch {
      throw .tokenizer(path: file.path, problem: error.description)
    }
    try self.init(definition: definition, path: file.path)
  }
}

/// From the parsed `tokenizer.json` to a definition.
struct TokenizerReading {
  private let json: JSONValue

  init(_ json: JSONValue) { self.json = json }

  func definition() throws(TokenizerProblem) -> TokenizerDefinition {
    guard json.members != nil else { throw TokenizerProblem("not a tokenizer.json: expected a JSON object") }
    for name in ["normalizer", "truncation", "padding"] {
      guard json[name]?.isNull ?? true else { throw refused("a \(name)\(kind(json[name]))") }
    }
    guard let model = json["model"], model.members != nil else { throw TokenizerProblem("no model") }
    var definition = try readModel(model)
    definition.addedTokens = try readAddedTokens()
    try readPreTokenizer(json["pre_tokenizer"], into: &definition)
    try readPostProcessor(json["post_processor"], into: &definition)
    try checkDecoder(json["decoder"])
    return definition
  }

  private func refused(_ what: String) -> TokenizerProblem {
    TokenizerProblem(
      "has \(what), which Apus does not follow; use a byte-level BPE tokenizer like GPT-2's or Llama 3's")
  }

  /// The type of a part for a message: ` of type NFC`.
  private func kind(_ part: JSONValue?) -> String { part?["type"]?.string.map { " of type \($0)" } ?? "" }

  // MARK: Model

  private func readModel(_ model: JSONValue) throws(TokenizerProblem) -> TokenizerDefinition {
    if let type = model["type"], type.string != "BPE" { throw refused("a model\(kind(model))") }
    if let dropout = model["dropout"], !dropout.isNull, dropout.double != 0 { throw refused("dropout") }
    for name in ["continuing_subword_prefix", "end_of_word_suffix"] {
      if let value = model[name], !value.isNull, value.string != "" { throw refused("a \(name)") }
    }
    if model["byte_fallback"]?.bool == true { throw refused("byte_fallback") }
    guard let entries = model["vocab"]?.members else { throw TokenizerProblem("the model has no vocab") }
    guard let list = model["merges"]?.array else { throw TokenizerProblem("the model has no merges") }

    var vocabulary: [String?] = []
    var ids = ByteStringTable(minimumCapacity: entries.count + 1)
    for member in entries {
      let entry = member.key
      guard let id = member.value.integer, id >= 0, id < 1 << 24 else {
        throw TokenizerProblem("the id of vocabulary entry \(entry) is not a number from 0 to 16,777,215")
      }
      while vocabulary.count <= id { vocabulary.append(nil) }
      if let other = vocabulary[id] { throw TokenizerProblem("\(other) and \(entry) share the id \(id)") }
      vocabulary[id] = entry
      ids.set(Array(entry.utf8), UInt64(id))
    }
    var merges: [Merge] = []
    merges.reserveCapacity(list.count)
    for (rank, element) in list.enumerated() {
      let parts = mergeParts(element)
      guard parts.count == 2, let left = ids.get(parts[0]), let right = ids.get(parts[1]) else {
        throw TokenizerProblem("merge \(rank) does not name two entries of the vocabulary")
      }
      merges.append(Merge(Int32(left), Int32(right)))
    }
    var definition = TokenizerDefinition(vocabulary: vocabulary, merges: merges)
    definition.ignoresMerges = model["ignore_merges"]?.bool ?? false
    return definition
  }

  /// The two parts of a merge, which stands as `"a b"` or as `["a", "b"]`.
  private func mergeParts(_ element: JSONValue) -> [[UInt8]] {
    if let pair = element.array { return pair.compactMap { $0.string.map { Array($0.utf8) } } }
    guard let text = element.string else { return [] }
    return text.utf8.split(separator: 0x20, omittingEmptySubsequences: false).map { Array($0) }
  }

  private func readAddedTokens() throws(TokenizerProblem) -> [AddedToken] {
    guard let list = json["added_tokens"], !list.isNull else { return [] }
    var tokens: [AddedToken] = []
    for element in list.array ?? [] {
      guard let id = element["id"]?.integer, id >= 0, id < 1 << 24, let content = element["content"]?.string
      else {
        throw TokenizerProblem("an added token without id or content")
      }
      func flag(_ name: String) -> Bool { element[name]?.bool ?? false }
      tokens.append(
        AddedToken(
          id: Int32(id), content: content, isSpecial: flag("special"), stripsLeft: flag("lstrip"),
          stripsRight: flag("rstrip"), isSingleWord: flag("single_word"), isNormalized: flag("normalized")))
    }
    return tokens
  }

  // MARK: Pre-tokenizer and decoder

  private func readPreTokenizer(
    _ part: JSONValue?, into definition: inout TokenizerDefinition
  ) throws(TokenizerProblem) {
    let parts = part?["type"]?.string == "Sequence" ? part?["pretokenizers"]?.array ?? [] : [part ?? .null]
    guard let last = parts.last, last["type"]?.string == "ByteLevel" else {
      throw refused("a pre_tokenizer that does not end with ByteLevel")
    }
    definition.splitRules = []
    for split in parts.dropLast() {
      guard split["type"]?.string == "Split" else { throw refused("a pre_tokenizer\(kind(split))") }
      guard split["behavior"]?.string == "Isolated", split["invert"]?.bool != true else {
        throw refused("a Split that is not Isolated, or inverted")
      }
      guard let pattern = split["pattern"]?["Regex"]?.string else { throw refused("a Split without a Regex") }
      definition.splitRules.append(SplitRule(pattern: pattern))
    }
    // The library takes add_prefix_space and use_regex as true where they are missing.
    definition.addsPrefixSpace = last["add_prefix_space"]?.bool ?? true
    if last["use_regex"]?.bool ?? true { definition.splitRules.append(.gpt2) }
    if definition.addsPrefixSpace, parts.count > 1 { throw refused("add_prefix_space after a Split") }
  }

  private func checkDecoder(_ part: JSONValue?) throws(TokenizerProblem) {
    var part = part
    if part?["type"]?.string == "Sequence", let only = part?["decoders"]?.array, only.count == 1 {
      part = only[0]
    }
    guard part?["type"]?.string == "ByteLevel" else {
      throw refused("a decoder\(kind(part)) instead of ByteLevel")
    }
  }

  // MARK: Post-processor

  private func readPostProcessor(
    _ part: JSONValue?, into definition: inout TokenizerDefinition
  ) throws(TokenizerProblem) {
    guard let part, !part.isNull else { return }
    switch part["type"]?.string {
    case "ByteLevel": return  // trims offsets, not tokens
    case "Sequence":
      for element in part["processors"]?.array ?? [] { try readPostProcessor(element, into: &definition) }
    case "TemplateProcessing":
      guard definition.prefix.isEmpty, definition.suffix.isEmpty else { throw refused("two templates") }
      var seenText = false
      for piece in part["single"]?.array ?? [] {
        if piece["Sequence"]?["id"]?.string == "A", !seenText {
          seenText = true
        } else if let name = piece["SpecialToken"]?["id"]?.string,
          let ids = part["special_tokens"]?[name]?["ids"]?.array?.map(\.integer), !ids.contains(nil)
        {
          let tokens = ids.map { Int32(truncatingIfNeeded: $0!) }
          if seenText { definition.suffix += tokens } else { definition.prefix += tokens }
        } else {
          throw refused("a template other than special tokens around one text")
        }
      }
      if !seenText { throw refused("a template without the text") }
    default: throw refused("a post_processor\(kind(part))")
    }
  }
}
