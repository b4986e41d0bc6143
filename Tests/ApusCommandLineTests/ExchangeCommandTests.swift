import ApusCheckpoint
import ApusModels
import Foundation
import Testing

/// `import`, `export` and `checkpoint inspect`.
@Suite struct ExchangeCommandTests {
  private static let fixtures = [
    "gpt2-tied", "gpt2-untied", "gpt2-without-prefix-bfloat16", "llama-tied-sharded-float16",
    "llama-untied-stretched",
  ]

  @Test(arguments: fixtures) func importedAndExportedFoldersAreEqual(name: String) throws {
    let folder = try ProgramFolder()
    try folder.copy("ApusCheckpointTests/\(name)", as: "hf")
    let facts = try folder.succeed("import", "hf", "--output", "in/run", "--json").json()
    #expect(facts["has_tokenizer"] as? Bool == false)
    try folder.succeed("export", "in/run", "--output", "out", "--shard-size", "3000")

    let before = try HuggingFaceFolder(opening: folder.url.appending(path: "hf"))
    let after = try HuggingFaceFolder(opening: folder.url.appending(path: "out"))
    #expect(after.configuration == before.configuration && after.specialTokens == before.specialTokens)
    #expect(facts["parameters"] as? Int == before.tensors.reduce(0) { $0 + $1.elementCount })
    #expect((facts["tensors"] as? [Any])?.count == before.tensors.count)
    for tensor in before.tensors {
      let values = try [before, after].map { try numbers(of: tensor, in: $0) }
      #expect(values[0] == values[1], "\(tensor.name)")
    }
  }

  /// bf16 weights take half the bytes, are the rounded numbers, and say so in `config.json`.
  @Test func exportedInBFloat16() throws {
    let folder = try ProgramFolder()
    try folder.copy("ApusCheckpointTests/llama-untied-stretched", as: "hf")
    try folder.succeed("import", "hf", "--output", "run")
    for (precision, name) in [("fp32", "wide"), ("bf16", "half")] {
      try folder.succeed("export", "run", "--output", name, "--precision", precision)
    }
    let (wide, half) = (
      try HuggingFaceFolder(opening: folder.url.appending(path: "wide")),
      try HuggingFaceFolder(opening: folder.url.appending(path: "half"))
    )
    var rounded = 0
    for tensor in wide.tensors {
      let (before, after) = (try numbers(of: tensor, in: wide), try numbers(of: tensor, in: half))
      #expect(before.map { UInt32(bfloat16Bits(of: Float(bitPattern: $0))) << 16 } == after, "\(tensor.name)")
      rounded += zip(before, after).count { $0 != $1 }
    }
    #expect(rounded > 0)
    #expect(half.configuration == wide.configuration)
    #expect(String(decoding: try folder.read("half/config.json"), as: UTF8.self).contains("\"bfloat16\""))
    let bytes = try ["wide", "half"].map { try folder.read("\($0)/model.safetensors").count }
    let numbers = wide.tensors.reduce(0) { $0 + $1.elementCount }
    // A difference in the headers' lengths is all that is allowed beside the numbers.
    #expect(abs(bytes[0] - bytes[1] - 2 * numbers) <= 8 * wide.tensors.count)
  }

  private func numbers(of tensor: ExchangeTensor, in folder: HuggingFaceFolder) throws -> [UInt32] {
    var floats = [Float](repeating: 0, count: tensor.elementCount)
    try floats.withUnsafeMutableBufferPointer { try folder.read(tensor.name, into: $0.baseAddress!) }
    return floats.map(\.bitPattern)
  }

  /// A folder with a tokenizer, imported as `run`.
  private func runWithTokenizer() throws -> ProgramFolder {
    let folder = try ProgramFolder()
    let model = ModelConfiguration(
      family: .llama, vocabularySize: 4096, maximumSequenceLength: 16, layerCount: 1, hiddenSize: 8,
      headCount: 2)
    try HuggingFaceFolder.write(
      to: folder.url.appending(path: "hf"), configuration: model,
      tokenizerFile: ProgramFolder.fixture("ApusDataTests/gpt2.json")
    ) { _, _, buffer in buffer.update(repeating: 0.5) }
    try folder.succeed("import", "hf", "--output", "run")
    return folder
  }

  @Test func tokenizersTravel() throws {
    let folder = try runWithTokenizer()
    try folder.succeed("export", "run/checkpoints/step-00000000", "--output", "out")
    for copy in ["run", "out"] {
      #expect(try folder.read("\(copy)/tokenizer.json") == folder.read("hf/tokenizer.json"))
    }
    try FileManager.default.removeItem(at: folder.url.appending(path: "run/tokenizer.json"))
    try folder.copy("ApusDataTests/llama3.json", as: "run/tokenizer.json")
    let outcome = try folder.apus(["export", "run", "--output", "other"])
    #expect(outcome.status == 1 && outcome.error.hasSuffix("; put that tokenizer back\n"))
  }

  @Test func inspectionFindsDamage() throws {
    let folder = try runWithTokenizer()
    let weights = "run/checkpoints/step-00000003/weights-00000.safetensors"
    let checkpoints = folder.url.appending(path: "run/checkpoints")
    try FileManager.default.copyItem(
      at: checkpoints.appending(path: "step-00000000"), to: checkpoints.appending(path: "step-00000003"))
    for name in ["step-00000005", "step-00000009.partial"] {
      try FileManager.default.createDirectory(
        at: checkpoints.appending(path: name), withIntermediateDirectories: false)
    }
    var bytes = try folder.read(weights)
    bytes[bytes.count - 1] ^= 1
    try bytes.write(to: folder.url.appending(path: weights))

    let whole = try folder.succeed("checkpoint", "inspect", "run", "--step", "3").text
    #expect(whole.contains("   3  ") && whole.contains("step 3: llama of 1 layer\n"))
    let verified = try folder.apus(["checkpoint", "inspect", "run", "--verify", "--json"])
    #expect(
      verified.status == 1
        && verified.error == "apus: run: damaged at step 3, 5; the newest whole one is step 0\n")
    let report = try verified.json()
    #expect(report["leftovers"] as? [String] == ["step-00000009.partial"])
    let found = try #require(report["checkpoints"] as? [[String: Any]])
    #expect(found.map { $0["step"] as? Int } == [0, 3, 5])
    #expect(found.map { $0["damage"] is NSNull } == [true, false, false])
    #expect((found[1]["damage"] as? String)?.contains("has the checksum") == true)

    // The newest that is whole is taken, and the others are named.
    let exported = try folder.apus(["export", "run", "--output", "out", "--json"])
    #expect(try exported.status == 0 && exported.json()["step"] as? Int == 0)
    #expect(exported.error.split(separator: "\n").count == 2)
  }
}
