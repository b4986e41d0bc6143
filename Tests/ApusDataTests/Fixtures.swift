import ApusData
import Foundation
import Testing

/// The files that `Fixtures/make_tokenizers.py` made with the `tokenizers` library.
enum Fixtures {
  static let folder = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "Fixtures")

  struct Cases: Decodable {
    var texts: [String]
    var tokens: [String: [[Int32]]]
    var withSpecialTokens: [String: [[Int32]]]
    var decoded: [String: [String]]
  }

  static func cases() throws -> Cases {
    try JSONDecoder().decode(Cases.self, from: Data(contentsOf: folder.appending(path: "cases.json")))
  }

  static func url(_ name: String) -> URL { folder.appending(path: "\(name).json") }

  static func tokenizer(_ name: String) throws -> Tokenizer { try Tokenizer(contentsOf: url(name)) }
}

/// A folder for one test, removed when the body is done.
func withTemporaryFolder(_ body: (URL) throws -> Void) throws {
  let folder = FileManager.default.temporaryDirectory.appending(path: "apus-data-\(UUID().uuidString)")
  try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
  defer { try? FileManager.default.removeItem(at: folder) }
  try body(folder)
}

/// The error's line, or a recorded failure.
func message(_ body: () throws -> Void, at location: SourceLocation = #_sourceLocation) -> String {
  do {
    try body()
    Issue.record("no error was thrown", sourceLocation: location)
    return ""
  } catch {
    return "\(error)"
  }
}

/// A small random number generator with a fixed seed (Steele, Lea, Flood 2014, "SplitMix").
struct SeededGenerator: RandomNumberGenerator {
  var state: UInt64
  mutating func next() -> UInt64 {
    state &+= 0x9e37_79b9_7f4a_7c15
    var x = state
    x = (x ^ x >> 30) &* 0xbf58_476d_1ce4_e5b9
    x = (x ^ x >> 27) &* 0x94d0_49bb_1331_11eb
    return x ^ x >> 31
  }
}
