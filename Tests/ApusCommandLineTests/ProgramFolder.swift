import Foundation
import Testing

/// A folder for one test in which the built program runs, removed when the last reference goes.
final class ProgramFolder {
  let url: URL

  init() throws {
    url = FileManager.default.temporaryDirectory.appending(path: "apus-program-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
  }

  deinit { try? FileManager.default.removeItem(at: url) }

  /// What a run of the program left.
  struct Outcome {
    let status: Int32
    let output: Data
    let error: String

    var text: String { String(decoding: output, as: UTF8.self) }

    /// The output as JSON.
    func json() throws -> [String: Any] {
      try #require(try JSONSerialization.jsonObject(with: output) as? [String: Any])
    }
  }

  /// Runs `apus` in the folder.
  ///
  /// - Parameter input: what it finds at its standard input.
  func apus(_ words: [String], input: String = "") throws -> Outcome {
    // Beside the folder, so that a listing shows only what the program left.
    let streams = ["in", "out", "err"].map { url.appendingPathExtension($0) }
    defer { for stream in streams { try? FileManager.default.removeItem(at: stream) } }
    try Data(input.utf8).write(to: streams[0])
    for stream in streams[1...] { try Data().write(to: stream) }
    let process = Process()
    process.executableURL = try Self.program
    process.arguments = words
    process.currentDirectoryURL = url
    process.standardInput = try FileHandle(forReadingFrom: streams[0])
    process.standardOutput = try FileHandle(forWritingTo: streams[1])
    process.standardError = try FileHandle(forWritingTo: streams[2])
    try process.run()
    process.waitUntilExit()
    return Outcome(
      status: process.terminationStatus, output: try Data(contentsOf: streams[1]),
      error: String(decoding: try Data(contentsOf: streams[2]), as: UTF8.self))
  }

  /// Runs `apus` and expects success.
  @discardableResult
  func succeed(
    _ words: String..., input: String = "", at location: SourceLocation = #_sourceLocation
  ) throws -> Outcome {
    let outcome = try apus(words, input: input)
    #expect(outcome.status == 0 && outcome.error == "", "\(outcome.error)", sourceLocation: location)
    return outcome
  }

  func write(_ text: String, _ name: String) throws {
    try Data(text.utf8).write(to: url.appending(path: name))
  }

  func read(_ name: String) throws -> Data { try Data(contentsOf: url.appending(path: name)) }

  /// Puts a copy of a fixture of another target there.
  func copy(_ fixture: String, as name: String) throws {
    try FileManager.default.copyItem(at: Self.fixture(fixture), to: url.appending(path: name))
  }

  /// Everything below the folder, sorted.
  func names() throws -> [String] { try FileManager.default.subpathsOfDirectory(atPath: url.path).sorted() }

  /// `ApusDataTests/gpt2.json` of the tests' fixtures.
  static func fixture(_ path: String) -> URL {
    let parts = path.split(separator: "/", maxSplits: 1).map(String.init)
    return URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
      .appending(path: "\(parts[0])/Fixtures/\(parts[1])")
  }

  /// The program that the same build made, beside the tests.
  static var program: URL {
    get throws {
      let folder = try #require(Bundle.main.executableURL).deletingLastPathComponent()
      let program = folder.appending(path: "apus")
      try #require(
        FileManager.default.isExecutableFile(atPath: program.path), "\(program.path) is not built")
      return program
    }
  }
}
