import ApusCore
import Foundation

/// A checkpoint that is being written beside the finished ones; unless `commit` succeeds it is removed.
///
/// One process begins and commits; any number of ranks write their files in between.
package struct CheckpointDraft: ~Copyable {
  /// Where files are written until the commit.
  package let folder: String
  private let target: String
  private let step: Int
  private var committed = false

  /// What a draft's folder ends with.
  static let suffix = ".partial"
  /// What a checkpoint's folder ends with while its successor of the same step takes its place.
  static let replacedSuffix = ".replaced"

  init(target: String, step: Int) {
    folder = target + CheckpointDraft.suffix
    self.target = target
    self.step = step
  }

  deinit {
    // Nothing more can be done about a folder that cannot be removed; the next start tries again.
    if !committed { try? Disk.remove(folder) }
  }

  /// Creates the draft's empty folder.
  func prepare() throws(CheckpointError) {
    if Disk.exists(folder) { try Disk.remove(folder) }
    try Disk.createFolder(folder)
  }

  /// Writes state and manifest, flushes, and gives the checkpoint its name.
  package mutating func commit<State: Encodable>(
    _ files: [WrittenFile], state: State
  ) throws(CheckpointError) -> CheckpointManifest {
    let stateBytes = try CheckpointDraft.encoded(state, path: target)
    try Disk.writeFile(stateBytes, to: folder + "/" + CheckpointManifest.stateFileName)
    let manifest = CheckpointManifest(
      formatVersion: CheckpointManifest.currentVersion, step: step,
      checksumAlgorithm: StreamingChecksum.algorithm,
      files: files.map(\.record) + [
        CheckpointManifest.FileRecord(
          name: CheckpointManifest.stateFileName, bytes: stateBytes.count,
          checksum: CheckpointDraft.checksum(of: stateBytes))
      ],
      tensors: try CheckpointDraft.joined(files.flatMap(\.tensors)))

    let manifestBytes = try CheckpointDraft.encoded(manifest, path: target)
    let checksum = CheckpointDraft.checksum(of: manifestBytes)
    try Disk.writeFile(Array((checksum + "\n").utf8), to: folder + "/" + CheckpointManifest.checksumFileName)
    try Disk.synchronizeFolder(folder)
    try Disk.writeFile(manifestBytes, to: folder + "/" + CheckpointManifest.fileName)
    try Disk.synchronizeFolder(folder)
    try takeTargetName()
    committed = true
    return manifest
  }

  /// Renames the draft. A checkpoint of the same step steps aside first, so that at every moment one of the
  /// two can be recovered.
  private func takeTargetName() throws(CheckpointError) {
    let replaced = target + CheckpointDraft.replacedSuffix
    let replaces = Disk.exists(target)
    if replaces {
      if Disk.exists(replaced) { try Disk.remove(replaced) }
      try Disk.rename(target, to: replaced)
    }
    do {
      try Disk.rename(folder, to: target)
    } catch {
      if replaces { try Disk.rename(replaced, to: target) }
      throw error
    }
    try Disk.synchronizeFolder((target as NSString).deletingLastPathComponent)
    // What cannot be removed now is removed by the next start: the checkpoint itself is in place.
    if replaces { try? Disk.remove(replaced) }
  }

  /// Brings the pieces of each tensor together, in order of first appearance, and checks that they are all.
  private static func joined(
    _ records: [CheckpointManifest.TensorRecord]
  ) throws(CheckpointError) -> [CheckpointManifest.TensorRecord] {
    var result: [CheckpointManifest.TensorRecord] = []
    var numbers: [String: Int] = [:]
    for record in records {
      guard let number = numbers[record.name] else {
        numbers[record.name] = result.count
        result.append(record)
        continue
      }
      guard result[number].shape == record.shape, result[number].type == record.type else {
        throw .incompleteTensor(
          name: record.name,
          problem: "one piece says \(result[number].type) \(result[number].shape), another "
            + "\(record.type) \(record.shape)")
      }
      result[number].pieces += record.pieces
    }
    for record in result { try record.checkCoverage() }
    return result
  }

  static func encoded<Value: Encodable>(_ value: Value, path: String) throws(CheckpointError) -> [UInt8] {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .prettyPrinted, .withoutEscapingSlashes]
    encoder.nonConformingFloatEncodingStrategy = nonFinite
    do {
      return Array(try encoder.encode(value))
    } catch {
      throw .system(action: "encode the state of", path: path, reason: "\(error)")
    }
  }

  /// How infinities and NaN stand in the state's JSON.
  static var nonFinite: JSONEncoder.NonConformingFloatEncodingStrategy {
    .convertToString(positiveInfinity: "inf", negativeInfinity: "-inf", nan: "nan")
  }

  /// The checksum as a manifest records it.
  package static func checksum(of bytes: [UInt8]) -> String {
    var checksum = StreamingChecksum()
    bytes.withUnsafeBytes { checksum.update($0) }
    return checksum.text
  }
}
