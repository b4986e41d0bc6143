import ApusCore
import ApusData
import Foundation

/// What a command reads: a file or the standard input, whole.
struct InputBytes {
  /// The file's path, or `standard input`; what errors name.
  let name: String
  private let storage: Storage

  private enum Storage {
    case mapped(MappedFile)
    case bytes([UInt8])
  }

  /// - Parameter path: a file, `-` for the standard input, or nil for the standard input unless that is a
  ///   terminal.
  init(_ path: String?, orElse remedy: String) throws {
    if let path, path != "-" {
      (name, storage) = (path, .mapped(try MappedFile(path: path)))
      return
    }
    if path == nil, isatty(0) == 1 { throw UsageError("nothing to read; \(remedy)") }
    name = "standard input"
    do {
      storage = .bytes(Array(try FileHandle.standardInput.readToEnd() ?? Data()))
    } catch {
      throw CommandError.input(path: name, problem: "cannot be read: \(StandardOutput.words(of: error))")
    }
  }

  /// A text given on the command line.
  init(text: String) { (name, storage) = ("--text", .bytes(Array(text.utf8))) }

  var count: Int {
    switch storage {
    case .mapped(let file): file.bytes.count
    case .bytes(let bytes): bytes.count
    }
  }

  /// Lends the bytes.
  func withBytes<Result>(_ body: (UnsafeBufferPointer<UInt8>) throws -> Result) rethrows -> Result {
    switch storage {
    case .mapped(let file): try withExtendedLifetime(file) { try body(file.bytes) }
    case .bytes(let bytes): try bytes.withUnsafeBufferPointer(body)
    }
  }

  /// Throws unless the bytes are UTF-8.
  func checkText() throws {
    try withBytes { bytes in
      do throws(UTF8.ValidationError) { _ = try UTF8Span(validating: bytes.span) } catch {
        throw DataError.invalidText(path: name, byteOffset: error.byteOffsets.lowerBound)
      }
    }
  }
}

/// A tokenizer that a command is given: a `tokenizer.json`, or a folder that holds one.
struct TokenizerInput {
  let file: URL
  let tokenizer: Tokenizer

  init(_ path: String) throws {
    var isFolder: ObjCBool = false
    var url = URL(fileURLWithPath: path)
    guard FileManager.default.fileExists(atPath: path, isDirectory: &isFolder) else {
      throw CommandError.input(
        path: path, problem: "does not exist; name a tokenizer.json or a folder with one")
    }
    if isFolder.boolValue {
      url = url.appendingPathComponent("tokenizer.json")
      guard FileManager.default.fileExists(atPath: url.path) else {
        throw CommandError.input(
          path: path, problem: "holds no tokenizer.json; name a tokenizer.json or a folder with one")
      }
    }
    file = url
    do { tokenizer = try Tokenizer(contentsOf: url) } catch .json(_, let offset, let problem) {
      throw CommandError.input(
        path: path, problem: "is no tokenizer.json: \(problem) at byte \(offset.grouped)")
    }
  }
}
