import ApusConfiguration
import Foundation
import Testing

private let repository = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
  .deletingLastPathComponent().deletingLastPathComponent()

@Suite struct FileTests {
  @Test(arguments: ["llama-tiny", "gpt2-124m"])
  func shippedConfigurationsAreValid(name: String) throws {
    let file = repository.appending(path: "Configurations/\(name).yaml")
    let c = try Configuration.load(file: file)
    #expect(c.model.preset == name && c.output.folder == "runs/\(name)")
    // A short trial must not fail for a warm-up that is longer.
    #expect(try Configuration.load(file: file, overrides: ["training.steps=20"]).training.steps == 20)
  }

  @Test func deepNestingIsRefused() {
    let yaml = "training: {steps: " + String(repeating: "[", count: 20_000)
    #expect(throws: ConfigurationError.self) { try Configuration.parse(yaml: yaml, name: "deep.yaml") }
  }

  @Test func missingFile() throws {
    let error = try #require(throws: ConfigurationError.self) {
      try Configuration.load(file: URL(fileURLWithPath: "/no/such/job.yaml"))
    }
    #expect(error.description == "/no/such/job.yaml: does not exist; check the path")
  }

  @Test func folderAndBrokenText() throws {
    let folder = FileManager.default.temporaryDirectory.appending(path: "apus-configuration-\(UUID())")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    #expect(throws: ConfigurationError.self) { try Configuration.load(file: folder) }
    let file = folder.appending(path: "latin1.yaml")
    try Data([0x61, 0xE9, 0x0A]).write(to: file)
    let error = try #require(throws: ConfigurationError.self) { try Configuration.load(file: file) }
    #expect(error.description.hasSuffix("latin1.yaml: is no UTF-8 text; save it as UTF-8"))
  }

  /// `docs/configuration.md` has one table row a key, in the order of the code, and no other rows.
  @Test func everyKeyIsDocumented() throws {
    let text = try String(contentsOf: repository.appending(path: "docs/configuration.md"), encoding: .utf8)
    var documented: [String: [String]] = [:]
    var section = ""
    for line in text.split(separator: "\n") {
      if line.hasPrefix("## `") { section = String(line.dropFirst(4).prefix { $0 != "`" }) }
      if line.hasPrefix("## "), !line.hasPrefix("## `") { section = "" }
      guard !section.isEmpty, line.hasPrefix("| `") else { continue }
      // A row may name aliases: | `data`, `dp` | ...
      let cell = line.dropFirst(2).prefix { $0 != "|" }
      documented[section, default: []] += cell.split(separator: "`").map(String.init)
        .filter { $0.first?.isLetter == true }
    }
    for (section, keys) in Configuration.knownKeys {
      #expect(Set(documented[section] ?? []) == Set(keys), "section \(section)")
    }
    #expect(documented.count == 6)
  }
}
