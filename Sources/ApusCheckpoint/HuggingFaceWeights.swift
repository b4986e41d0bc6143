import ApusCore
import Foundation

/// A tensor in one of a folder's files.
struct StoredTensor {
  var file: SafetensorsFile
  /// The name in the file, with or without the model's prefix.
  var storedName: String
  var entry: TensorEntry
}

/// Finds the weights of a Hugging Face folder: one file, or shards listed in an index.
enum HuggingFaceWeights {
  static let singleFile = "model.safetensors"
  static let indexFile = "model.safetensors.index.json"

  static func find(in folder: URL) throws(CheckpointError) -> [StoredTensor] {
    let single = folder.appendingPathComponent(singleFile).path
    if Disk.exists(single) {
      let file = try SafetensorsFile(path: single)
      return file.tensors.map { StoredTensor(file: file, storedName: $0.key, entry: $0.value) }
    }
    let index = folder.appendingPathComponent(indexFile).path
    if Disk.exists(index) { return try sharded(index: index, in: folder) }

    let pickled = ["pytorch_model.bin", "pytorch_model.bin.index.json"].first {
      Disk.exists(folder.appendingPathComponent($0).path)
    }
    let problem =
      if let pickled {
        "its weights are in \(pickled), which is not read because it can run code; save the model again "
          + "with transformers' save_pretrained, which writes \(singleFile)"
      } else {
        "it has neither \(singleFile) nor \(indexFile)"
      }
    throw .unusableFolder(path: folder.path, problems: [problem])
  }

  private static func sharded(index: String, in folder: URL) throws(CheckpointError) -> [StoredTensor] {
    guard case .object(let places)? = try JSONValue(readingFile: index)["weight_map"] else {
      throw .malformedJSON(path: index, problem: "it has no weight_map of tensor names to files")
    }
    var files: [String: SafetensorsFile] = [:]
    var problems: [String] = []
    var missingFiles: Set<String> = []
    var result: [StoredTensor] = []
    for place in places {
      guard let name = place.value.string, !name.isEmpty, !name.contains("/") else {
        throw .malformedJSON(path: index, problem: "\"\(place.key)\" is not mapped to the name of a file")
      }
      let path = folder.appendingPathComponent(name).path
      if files[name] == nil {
        guard Disk.exists(path) else {
          if missingFiles.insert(name).inserted { problems.append("the shard \(name) is missing") }
          continue
        }
        files[name] = try SafetensorsFile(path: path)
      }
      if let file = files[name], let entry = file.tensors[place.key] {
        result.append(StoredTensor(file: file, storedName: place.key, entry: entry))
      } else {
        problems.append("\(place.key) is not in \(name), where the index says it is")
      }
    }
    guard problems.isEmpty else { throw .unusableFolder(path: folder.path, problems: problems) }
    return result
  }
}
