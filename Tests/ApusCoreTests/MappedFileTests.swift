import ApusCore
import Foundation
import Testing

@Suite struct MappedFileTests {
  private let folder = FileManager.default.temporaryDirectory.appending(
    path: "apus-core-\(UUID().uuidString)")

  private func withFile(_ contents: String, _ body: (String) throws -> Void) throws {
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    let file = folder.appending(path: "file")
    try Data(contents.utf8).write(to: file)
    try body(file.path)
  }

  @Test(arguments: ["", "a", String(repeating: "line\n", count: 2000)])
  func bytesAreTheFiles(contents: String) throws {
    try withFile(contents) { path in
      // Nobody but the call holds the file.
      #expect(try MappedFile(mapping: path).withBytes { Array($0) } == Array(contents.utf8))
      let file = try MappedFile(mapping: path)
      // The mapping outlives the name.
      try FileManager.default.removeItem(atPath: path)
      #expect(file.withBytes { $0.elementsEqual(contents.utf8) })
    }
  }

  @Test func refusalsSayWhy() throws {
    try withFile("") { path in
      #expect(throws: FileFault("open", path + "s", reason: "No such file or directory", code: ENOENT)) {
        try MappedFile(mapping: path + "s")
      }
      let fault = #expect(throws: FileFault.self) { try MappedFile(mapping: folder.path) }
      #expect(fault?.description == "cannot open \(folder.path): it is not a regular file")
    }
  }
}
