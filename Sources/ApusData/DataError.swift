import ApusCore

/// What can go wrong with a user's tokenizers, texts and token files. Each case prints one line that says
/// what, where and what to do.
package enum DataError: Error, Equatable, CustomStringConvertible {
  /// A file that cannot be read, written, mapped or found.
  case file(path: String, problem: String)
  /// A text that is not UTF-8; the offset counts bytes from the start of the file.
  case invalidText(path: String, byteOffset: Int)
  /// A JSON text that cannot be parsed; the offset counts bytes from its start.
  case json(path: String, byteOffset: Int, problem: String)
  /// A tokenizer that Apus cannot follow exactly, or that contradicts itself.
  case tokenizer(path: String, problem: String)
  /// A token file whose header, size or content is wrong.
  case tokenFile(path: String, problem: String)
  /// A token id that the model's vocabulary does not have.
  case tokenBeyondVocabulary(path: String, position: Int, token: Int, vocabularySize: Int)
  /// A request that cannot be met: splits, weights, sequence lengths.
  case request(String)
  /// Several problems at once, a line each.
  case several([DataError])

  package var description: String {
    switch self {
    case .file(let path, let problem): "\(path): \(problem)"
    case .invalidText(let path, let offset):
      "\(path): not UTF-8 at byte \(offset.grouped); convert the file to UTF-8 (for example with iconv)"
    case .json(let path, let offset, let problem): "\(path): \(problem) at byte \(offset.grouped)"
    case .tokenizer(let path, let problem): "\(path): \(problem)"
    case .tokenFile(let path, let problem): "\(path): \(problem)"
    case .tokenBeyondVocabulary(let path, let position, let token, let size):
      "\(path): token \(token.grouped) at position \(position.grouped) is beyond the vocabulary of "
        + "\(size.grouped); prepare the data with the model's tokenizer"
    case .request(let text): text
    case .several(let errors): errors.map(\.description).joined(separator: "\n")
    }
  }
}

extension DataError {
  /// The error that says what the operating system refused.
  init(_ fault: FileFault) {
    self = .file(path: fault.path, problem: "cannot \(fault.action) the file: \(fault.reason)")
  }
}

extension MappedFile {
  /// Maps a file with our error.
  package convenience init(path: String) throws(DataError) {
    do { try self.init(mapping: path) } catch { throw DataError(error) }
  }
}

extension JSONValue {
  /// Parses a file's bytes, or a part of them that starts at `offset`, with our error. Of a key that stands
  /// twice the last counts.
  init(
    parsing bytes: UnsafeBufferPointer<UInt8>, of path: String, startingAt offset: Int = 0
  ) throws(DataError) {
    do {
      try self.init(parsing: UnsafeRawBufferPointer(bytes), duplicateKeys: .kept)
    } catch {
      throw .json(path: path, byteOffset: offset + error.offset, problem: "not JSON: \(error.problem)")
    }
  }
}
