import ApusCore
import Foundation

extension Tokenizer {
  /// Writes the tokenizer as a Hugging Face `tokenizer.json`, which the `tokenizers` library loads. Merges
  /// are written as `"a b"`, the form that every release reads.
  package func write(to url: URL) throws(DataError) {
    try AsideFile.write(definition.json, to: url.path)
  }

  /// Sixteen hexadecimal digits that change with anything that may change the tokens (64-bit FNV-1a of the
  /// tokenizer as Apus writes it).
  package var fingerprint: String {
    var hash: UInt64 = 0xcbf2_9ce4_8422_2325
    for byte in definition.json { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
    let digits = String(hash, radix: 16)
    return String(repeating: "0", count: 16 - digits.count) + digits
  }
}

extension TokenizerDefinition {
  /// The text of `tokenizer.json`.
  var json: [UInt8] {
    var text = JSONText()
    text += "{\n  \"version\": \"1.0\",\n  \"truncation\": null,\n  \"padding\": null,\n  \"added_tokens\": ["
    for (index, token) in addedTokens.enumerated() {
      text += index == 0 ? "\n    {" : ",\n    {"
      text += "\"id\": \(token.id), \"content\": "
      text.quote(token.content)
      text += ", \"single_word\": \(token.isSingleWord), \"lstrip\": \(token.stripsLeft), \"rstrip\": "
      text += "\(token.stripsRight), \"normalized\": \(token.isNormalized), \"special\": \(token.isSpecial)}"
    }
    text += "\n  ],\n  \"normalizer\": null,\n  \"pre_tokenizer\": "
    appendPreTokenizer(to: &text)
    text += ",\n  \"post_processor\": "
    appendPostProcessor(to: &text)
    text += ",\n  \"decoder\": {\"type\": \"ByteLevel\", \"add_prefix_space\": true, \"trim_offsets\": true, "
    text += "\"use_regex\": true},\n  \"model\": {\n    \"type\": \"BPE\",\n    \"dropout\": null,\n    "
    text +=
      "\"unk_token\": null,\n    \"continuing_subword_prefix\": null,\n    \"end_of_word_suffix\": null,\n"
    text +=
      "    \"fuse_unk\": false,\n    \"byte_fallback\": false,\n    \"ignore_merges\": \(ignoresMerges),\n"
    text += "    \"vocab\": {"
    var isFirst = true
    for (id, entry) in vocabulary.enumerated() {
      guard let entry else { continue }
      text += isFirst ? "\n      " : ",\n      "
      text.quote(entry)
      text += ": \(id)"
      isFirst = false
    }
    text += "\n    },\n    \"merges\": ["
    for (rank, merge) in merges.enumerated() {
      text += rank == 0 ? "\n      " : ",\n      "
      text.quote("\(vocabulary[Int(merge.left)] ?? "") \(vocabulary[Int(merge.right)] ?? "")")
    }
    text += "\n    ]\n  }\n}\n"
    return text.bytes
  }

  private func appendPreTokenizer(to text: inout JSONText) {
    let usesRegex = splitRules.last == .gpt2
    let byteLevel =
      "{\"type\": \"ByteLevel\", \"add_prefix_space\": \(addsPrefixSpace), \"trim_offsets\": true, "
      + "\"use_regex\": \(usesRegex)}"
    let splits = usesRegex ? splitRules.dropLast() : splitRules[...]
    if splits.isEmpty {
      text += byteLevel
      return
    }
    text += "{\"type\": \"Sequence\", \"pretokenizers\": ["
    for rule in splits {
      text += "{\"type\": \"Split\", \"pattern\": {\"Regex\": "
      text.quote(rule.pattern)
      text += "}, \"behavior\": \"Isolated\", \"invert\": false}, "
    }
    text += byteLevel + "]}"
  }

  private func appendPostProcessor(to text: inout JSONText) {
    let byteLevel =
      "{\"type\": \"ByteLevel\", \"add_prefix_space\": true, \"trim_offsets\": false, \"use_regex\": true}"
    guard !prefix.isEmpty || !suffix.isEmpty else {
      text += byteLevel
      return
    }
    func name(_ id: Int32) -> String {
      addedTokens.first { $0.id == id }?.content ?? (vocabulary[Int(id)] ?? "")
    }
    func single(_ id: Int32, to text: inout JSONText) {
      text += "{\"SpecialToken\": {\"id\": "
      text.quote(name(id))
      text += ", \"type_id\": 0}}"
    }
    text +=
      "{\"type\": \"Sequence\", \"processors\": [\(byteLevel), "
    text += "{\"type\": \"TemplateProcessing\", \"single\": ["
    for id in prefix {
      single(id, to: &text)
      text += ", "
    }
    text += "{\"Sequence\": {\"id\": \"A\", \"type_id\": 0}}"
    for id in suffix {
      text += ", "
      single(id, to: &text)
    }
    text += "], \"pair\": [{\"Sequence\": {\"id\": \"A\", \"type_id\": 0}}, "
    text += "{\"Sequence\": {\"id\": \"B\", \"type_id\": 1}}], \"special_tokens\": {"
    var seen: [Int32] = []
    for id in prefix + suffix where !seen.contains(id) {
      if !seen.isEmpty { text += ", " }
      seen.append(id)
      text.quote(name(id))
      text += ": {\"id\": "
      text.quote(name(id))
      text += ", \"ids\": [\(id)], \"tokens\": ["
      text.quote(name(id))
      text += "]}"
    }
    text += "}}]}"
  }
}

/// JSON text in the making.
private struct JSONText {
  var bytes: [UInt8] = []

  static func += (text: inout JSONText, addition: String) { text.bytes.append(contentsOf: addition.utf8) }

  mutating func quote(_ string: String) { JSONValue.appendQuoted(string, to: &bytes) }
}
