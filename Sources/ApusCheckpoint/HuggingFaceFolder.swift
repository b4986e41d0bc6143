import ApusCore
import ApusModels
import Foundation

/// A folder as `transformers` saves models: `config.json`, `model.safetensors` (or shards with an index),
/// and mostly `tokenizer.json`. Opening checks that exactly the model's parameters are there.
package final class HuggingFaceFolder: TensorSource, Sendable {
  package let folder: URL
  package let configuration: ModelConfiguration
  package let specialTokens: SpecialTokens
  /// `tokenizer.json`, if the folder has one.
  package let tokenizerFile: URL?
  /// The model's parameters, in the order of `HuggingFaceNames.tensors(of:)`.
  package let tensors: [ExchangeTensor]
  /// Where each parameter is stored.
  private let places: [String: StoredTensor]

  /// Opens a folder; throws one error with everything that is wrong with it.
  package init(opening folder: URL) throws(CheckpointError) {
    self.folder = folder
    let configurationPath = folder.appendingPathComponent("config.json").path
    guard Disk.exists(configurationPath) else {
      throw .unusableFolder(
        path: folder.path,
        problems: ["it has no config.json; a Hugging Face folder holds config.json and model.safetensors"])
    }
    let read = HuggingFaceConfiguration.read(try JSONValue(readingFile: configurationPath))
    guard read.problems.isEmpty else { throw .unusableFolder(path: folder.path, problems: read.problems) }
    configuration = read.model
    specialTokens = read.tokens
    tensors = HuggingFaceNames.tensors(of: read.model)
    places = try HuggingFaceFolder.match(
      try HuggingFaceWeights.find(in: folder), with: tensors, of: read.model, in: folder)
    let tokenizer = folder.appendingPathComponent("tokenizer.json")
    tokenizerFile = Disk.exists(tokenizer.path) ? tokenizer : nil
  }

  /// The shape of one of the model's parameters.
  package func shape(of name: String) throws(CheckpointError) -> [Int] { try place(of: name).entry.shape }

  /// The element type in which a parameter is stored.
  package func storedType(of name: String) throws(CheckpointError) -> SafetensorsType {
    try place(of: name).entry.type
  }

  /// Reads any slice of a parameter as float32.
  package func read(
    _ name: String, into destination: UnsafeMutablePointer<Float>, start: [Int], extents: [Int]
  ) throws(CheckpointError) {
    let place = try place(of: name)
    let request = try checkedBox(name, start: start, extents: extents, in: place.entry.shape)
    try place.file.read(
      place.storedName, holding: Box(whole: place.entry.shape), request: request, into: destination)
  }

  private func place(of name: String) throws(CheckpointError) -> StoredTensor {
    guard let place = places[name] else { throw .tensorNotFound(name: name, path: folder.path) }
    return place
  }

  /// Finds the place of every parameter; all that is missing, unknown or misshapen goes into one error.
  private static func match(
    _ stored: [StoredTensor], with tensors: [ExchangeTensor], of model: ModelConfiguration, in folder: URL
  ) throws(CheckpointError) -> [String: StoredTensor] {
    var problems: [String] = []
    var places: [String: StoredTensor] = [:]
    for tensor in stored {
      let name = HuggingFaceNames.fullName(tensor.storedName, of: model.family)
      if HuggingFaceNames.isBuffer(name) { continue }
      if places.updateValue(tensor, forKey: name) != nil { problems.append("\(name) is there twice") }
    }
    let expected = Dictionary(uniqueKeysWithValues: tensors.map { ($0.name, $0.shape) })
    let missing = tensors.map(\.name).filter { places[$0] == nil }
    if !missing.isEmpty { problems.append("missing: \(listed(missing))") }

    // A tied head may be stored all the same; then it must be the token table.
    let head = HuggingFaceNames.head
    if model.tiedEmbeddings, let copy = places.removeValue(forKey: head),
      let table = places[HuggingFaceNames.tokenTable(of: model.family)], try !sameBytes(copy, table)
    {
      problems.append(
        "\(head) differs from the token table although tie_word_embeddings is true; set it to false")
    }
    let unknown = places.keys.filter { expected[$0] == nil }.sorted()
    if !unknown.isEmpty { problems.append("unknown to \(model.family.rawValue): \(listed(unknown))") }

    for tensor in tensors {
      guard let entry = places[tensor.name]?.entry else { continue }
      if entry.shape != tensor.shape {
        problems.append("\(tensor.name) has shape \(entry.shape), config.json implies \(tensor.shape)")
      }
      if !entry.type.isReadableAsFloat32 {
        problems.append("\(tensor.name) is stored as \(entry.type.rawValue), not as F32, F64, BF16 or F16")
      }
    }
    guard problems.isEmpty else { throw .unusableFolder(path: folder.path, problems: problems) }
    return places
  }

  private static func sameBytes(_ a: StoredTensor, _ b: StoredTensor) throws(CheckpointError) -> Bool {
    guard a.entry.type == b.entry.type, a.entry.shape == b.entry.shape else { return false }
    return try a.file.withBytes(of: a.storedName) { (x) throws(CheckpointError) -> Bool in
      try b.file.withBytes(of: b.storedName) { (y) throws(CheckpointError) -> Bool in
        x.count == 0 || memcmp(x.baseAddress!, y.baseAddress!, x.count) == 0
      }
    }
  }

  /// Up to eight names, and how many more there are.
  private static func listed(_ names: [String]) -> String {
    names.prefix(8).joined(separator: ", ") + (names.count > 8 ? " and \(names.count - 8) more" : "")
  }
}

extension JSONValue {
  /// The JSON of a file.
  init(readingFile path: String) throws(CheckpointError) {
    let file = try MappedFile(path: path)
    do {
      self = try file.withBytes { bytes throws(JSONFault) in
        try JSONValue(parsing: UnsafeRawBufferPointer(bytes), duplicateKeys: .refused)
      }
    } catch {
      throw .malformedJSON(path: path, problem: error.description)
    }
  }
}
