import ApusCore
import Foundation

/// A finished checkpoint, opened for reading any slice of any tensor, whatever layout wrote it.
package final class CheckpointReader: TensorSource, Sendable {
  package let folder: URL
  package let manifest: CheckpointManifest
  private let files: [String: SafetensorsFile]
  private let tensors: [String: CheckpointManifest.TensorRecord]

  /// Opens the folder of a checkpoint.
  ///
  /// Anything missing or damaged is `CheckpointError.tornCheckpoint`.
  /// - Parameter verifying: also read every file and compare its checksum. Sizes, headers and the manifest's
  ///   checksum are compared always.
  package init(opening folder: URL, verifying: Bool) throws(CheckpointError) {
    self.folder = folder
    let manifest = try CheckpointManifest(readingFrom: folder.path)
    self.manifest = manifest
    var files: [String: SafetensorsFile] = [:]
    for record in manifest.files {
      try CheckpointReader.check(record, in: folder.path, checksum: verifying)
      guard record.name.hasSuffix(".safetensors") else { continue }
      do {
        files[record.name] = try SafetensorsFile(path: folder.path + "/" + record.name)
      } catch {
        throw .tornCheckpoint(path: folder.path, reason: error.description)
      }
    }
    var tensors: [String: CheckpointManifest.TensorRecord] = [:]
    for tensor in manifest.tensors {
      try CheckpointReader.check(tensor, against: files, in: folder.path)
      guard tensors.updateValue(tensor, forKey: tensor.name) == nil else {
        throw .tornCheckpoint(path: folder.path, reason: "the manifest lists \"\(tensor.name)\" twice")
      }
    }
    self.files = files
    self.tensors = tensors
  }

  package var step: Int { manifest.step }

  /// The trainer's state as it was saved.
  package func state<State: Decodable>(as type: State.Type) throws(CheckpointError) -> State {
    let path = folder.path + "/" + CheckpointManifest.stateFileName
    let bytes = try Disk.read(path)
    let decoder = JSONDecoder()
    decoder.nonConformingFloatDecodingStrategy = .convertFromString(
      positiveInfinity: "inf", negativeInfinity: "-inf", nan: "nan")
    do {
      return try decoder.decode(type, from: Data(bytes))
    } catch {
      throw .malformedJSON(path: path, problem: "it does not hold the expected state: \(error)")
    }
  }

  /// Whether the checkpoint holds a tensor of this name.
  package func holds(_ name: String) -> Bool { tensors[name] != nil }

  package func shape(of name: String) throws(CheckpointError) -> [Int] { try tensor(name).shape }

  /// Reads a slice in global coordinates as float32, row-major, from as many pieces as it crosses.
  package func read(
    _ name: String, into destination: UnsafeMutablePointer<Float>, start: [Int], extents: [Int]
  ) throws(CheckpointError) {
    let tensor = try tensor(name)
    let request = try checkedBox(name, start: start, extents: extents, in: tensor.shape)
    for piece in tensor.pieces where piece.box.intersection(request) != nil {
      guard let file = files[piece.file] else { throw .tensorNotFound(name: name, path: piece.file) }
      try file.read(piece.entry, holding: piece.box, request: request, into: destination)
    }
  }

  private func tensor(_ name: String) throws(CheckpointError) -> CheckpointManifest.TensorRecord {
    guard let tensor = tensors[name] else { throw .tensorNotFound(name: name, path: folder.path) }
    return tensor
  }

  /// Compares a file's size and, if wanted, its checksum with the manifest.
  private static func check(
    _ record: CheckpointManifest.FileRecord, in folder: String, checksum: Bool
  ) throws(CheckpointError) {
    let path = folder + "/" + record.name
    guard !record.name.contains("/"), Disk.exists(path) else {
      throw .tornCheckpoint(path: folder, reason: "\(record.name) is missing")
    }
    let file = try MappedFile(path: path)
    guard file.bytes.count == record.bytes else {
      throw .tornCheckpoint(
        path: folder,
        reason: "\(record.name) has \(file.bytes.count) bytes, the manifest says \(record.bytes)")
    }
    guard checksum else { return }
    var found = StreamingChecksum()
    file.withBytes { found.update(UnsafeRawBufferPointer($0)) }
    guard found.text == record.checksum else {
      throw .tornCheckpoint(
        path: folder,
        reason: "\(record.name) has the checksum \(found.text), the manifest says \(record.checksum)")
    }
  }

  /// Compares a tensor's record with the entries of the files that it names.
  private static func check(
    _ tensor: CheckpointManifest.TensorRecord, against files: [String: SafetensorsFile], in folder: String
  ) throws(CheckpointError) {
    guard tensor.hasSoundShape else {
      throw .tornCheckpoint(path: folder, reason: "\"\(tensor.name)\" has the shape \(tensor.shape)")
    }
    do {
      try tensor.checkCoverage()
    } catch {
      throw .tornCheckpoint(path: folder, reason: error.description)
    }
    for piece in tensor.pieces {
      guard let entry = files[piece.file]?.tensors[piece.entry], entry.shape == piece.extents,
        entry.type == SafetensorsType(tensor.type)
      else {
        throw .tornCheckpoint(
          path: folder, reason: "\(piece.file) does not hold \"\(piece.entry)\" as the manifest describes it")
      }
    }
  }
}

extension CheckpointManifest {
  /// Reads a checkpoint's manifest and compares it with its checksum.
  package init(readingFrom folder: String) throws(CheckpointError) {
    for name in [CheckpointManifest.fileName, CheckpointManifest.checksumFileName]
    where !Disk.exists(folder + "/" + name) {
      throw .tornCheckpoint(path: folder, reason: "\(name) is missing")
    }
    let bytes = try Disk.read(folder + "/" + CheckpointManifest.fileName)
    let recorded = try Disk.read(folder + "/" + CheckpointManifest.checksumFileName)
    let checksum = CheckpointDraft.checksum(of: bytes)
    guard recorded == Array((checksum + "\n").utf8) else {
      throw .tornCheckpoint(
        path: folder, reason: "\(CheckpointManifest.fileName) does not match its checksum")
    }
    let version = (try? JSONDecoder().decode(Version.self, from: Data(bytes)))?.formatVersion
    if let version, version > CheckpointManifest.currentVersion {
      throw .newerFormat(path: folder, version: version, supported: CheckpointManifest.currentVersion)
    }
    do {
      self = try JSONDecoder().decode(CheckpointManifest.self, from: Data(bytes))
    } catch {
      throw .tornCheckpoint(
        path: folder, reason: "\(CheckpointManifest.fileName) is not a manifest: \(error)")
    }
    guard checksumAlgorithm == StreamingChecksum.algorithm else {
      throw .tornCheckpoint(path: folder, reason: "unknown checksum algorithm \"\(checksumAlgorithm)\"")
    }
  }

  /// The one field that every format has.
  private struct Version: Codable { var formatVersion: Int }
}
