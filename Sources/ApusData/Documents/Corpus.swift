import ApusCore
import Foundation

/// Text files and JSON lines as a list of documents, in a fixed order.
///
/// A file of JSON lines holds an object a line, with the text under `key`; any other file is one document.
package struct Corpus: Sendable {
  /// The files, in the order of the patterns and sorted within each.
  package let files: [String]
  package let key: String
  private let format: Format

  /// How files are read.
  package enum Format: Hashable, Sendable {
    /// JSON lines where the name ends with `.jsonl` or `.ndjson`, otherwise text.
    case byName
    case text, jsonLines
  }

  /// Expands paths and globs (`*`, `?`, `[...]`); a path that exists stands for itself. A pattern that matches
  /// nothing is an error.
  package init(_ patterns: [String], key: String = "text", format: Format = .byName) throws(DataError) {
    self.key = key
    self.format = format
    var files: [String] = []
    for pattern in patterns {
      if FileManager.default.fileExists(atPath: pattern) {
        files.append(pattern)
        continue
      }
      var found = glob_t()
      defer { globfree(&found) }
      guard glob(pattern, 0, nil, &found) == 0, found.gl_pathc > 0 else {
        throw .file(path: pattern, problem: "no such file; check the path or the pattern")
      }
      for index in 0..<Int(found.gl_pathc) { files.append(String(cString: found.gl_pathv[index]!)) }
    }
    guard !files.isEmpty else { throw .request("no text files given; name at least one") }
    var seen: Set<String> = []
    for file in files where !seen.insert(file).inserted {
      throw .file(path: file, problem: "named twice; each file may stand once")
    }
    self.files = files
  }

  private func holdsJSONLines(_ path: String) -> Bool {
    switch format {
    case .byName: path.hasSuffix(".jsonl") || path.hasSuffix(".ndjson")
    case .text: false
    case .jsonLines: true
    }
  }

  /// Calls the body with each document. Texts are checked to be UTF-8.
  package func forEachDocument(
    _ body: (Document) throws(DataError) -> Void
  ) throws(DataError) {
    for path in files {
      let file = try MappedFile(path: path)
      if let offset = firstInvalidByte(file.bytes) { throw .invalidText(path: path, byteOffset: offset) }
      if holdsJSONLines(path) {
        try forEachLine(of: file, body)
      } else {
        try body(Document(file: file))
      }
    }
  }

  /// The bytes of all documents together.
  package func byteCount() throws(DataError) -> Int {
    var total = 0
    for path in files {
      let file = try MappedFile(path: path)
      if holdsJSONLines(path) {
        try forEachLine(of: file) { total += $0.bytes.count }
      } else {
        total += file.bytes.count
      }
    }
    return total
  }

  private func forEachLine(
    of file: MappedFile, _ body: (Document) throws(DataError) -> Void
  ) throws(DataError) {
    var (start, line) = (0, 0)
    while start < file.bytes.count {
      line += 1
      let end = file.bytes[start...].firstIndex(of: 0x0a) ?? file.bytes.count
      defer { start = end + 1 }
      let text = UnsafeBufferPointer(rebasing: file.bytes[start..<end])
      if text.allSatisfy({ $0 == 0x20 || $0 == 0x09 || $0 == 0x0d }) { continue }
      let value: JSONValue
      do throws(DataError) { value = try JSONValue(parsing: text, of: file.path, startingAt: start) } catch {
        guard case .json(let path, let offset, let problem) = error else { throw error }
        throw .json(path: path, byteOffset: offset, problem: "line \(line.grouped): \(problem)")
      }
      guard let content = value[key]?.string else {
        throw .file(path: file.path, problem: "line \(line.grouped) has no text under the key \"\(key)\"")
      }
      try body(Document(text: content, path: file.path))
    }
  }
}

extension Tokenizer {
  /// Trains on all documents of a corpus.
  package static func train(
    on corpus: Corpus, vocabularySize: Int, specialTokens: [String] = ["<|endoftext|>"],
    splitRule: SplitRule = .gpt2
  ) throws(DataError) -> Tokenizer {
    var training = try TokenizerTraining(splitRule: splitRule)
    try corpus.forEachDocument { training.add($0.bytes) }
    return try training.finish(vocabularySize: vocabularySize, specialTokens: specialTokens)
  }
}
