import ApusCore
import ApusModels
import Foundation

extension HuggingFaceFolder {
  /// Fills a buffer with rows (indices of the first dimension) of a parameter, row-major. For a parameter
  /// of one dimension a row is one number.
  package typealias RowProvider = (
    _ tensor: ExchangeTensor, _ rows: Range<Int>, _ buffer: UnsafeMutableBufferPointer<Float>
  ) throws(CheckpointError) -> Void

  /// The size at which a file is full, as in transformers' `save_pretrained` 4.
  package static let defaultShardBytes = 5_000_000_000

  /// Parameters pass through a buffer of about this many numbers.
  private static let bufferElements = 1 << 22

  /// Writes a folder that `transformers` loads: weights, configuration and, if given, tokenizer.
  ///
  /// The folder is written aside, flushed and renamed, so it is either whole or not there.
  /// - Parameters:
  ///   - folder: must not exist, or be empty.
  ///   - tokenizerFile: a `tokenizer.json` to copy.
  ///   - type: of the weights; the numbers are rounded to it, to nearest even.
  ///   - shardBytes: weights of more bytes are divided into files of at most this size with an index; a
  ///     single larger parameter gets a file of its own.
  ///   - tensors: gives the numbers, in parts, in the order of `HuggingFaceNames.tensors(of:)`.
  package static func write(
    to folder: URL, configuration: ModelConfiguration, specialTokens: SpecialTokens = SpecialTokens(),
    tokenizerFile: URL? = nil, as type: WeightType = .float32, shardBytes: Int = defaultShardBytes,
    tensors: RowProvider
  ) throws(CheckpointError) {
    var problems = HuggingFaceConfiguration.impossibilities(of: configuration)
    if configuration.hiddenSize % configuration.headCount != 0 {
      problems.append(
        "transformers refuses \(configuration.headCount) heads with hidden size \(configuration.hiddenSize), "
          + "which is not a multiple")
    }
    guard problems.isEmpty else { throw .unusableFolder(path: folder.path, problems: problems) }
    if Disk.exists(folder.path), try !Disk.names(in: folder.path).isEmpty {
      throw .alreadyExists(path: folder.path)
    }
    let parent = folder.deletingLastPathComponent().path
    try Disk.createFolder(parent)
    let shards = divide(HuggingFaceNames.tensors(of: configuration), as: type, into: shardBytes)
    let weightBytes = shards.reduce(0) {
      $0 + SafetensorsWriter.fileBytes(entries($1, as: type), metadata: metadata)
    }
    try Disk.requireSpace(weightBytes + (1 << 20), at: parent)

    let aside = folder.deletingLastPathComponent().appendingPathComponent(
      folder.lastPathComponent + ".partial")
    if Disk.exists(aside.path) { try Disk.remove(aside.path) }
    do {
      try Disk.createFolder(aside.path)
      try writeTexts(
        to: aside, configuration: configuration, as: type, specialTokens: specialTokens,
        tokenizerFile: tokenizerFile)
      try writeWeights(shards, as: type, to: aside, tensors: tensors)
      try Disk.synchronizeFolder(aside.path)
      try Disk.rename(aside.path, to: folder.path)
      try Disk.synchronizeFolder(parent)
    } catch {
      // The first error is the one to report; what cannot be removed is removed by the next attempt.
      try? Disk.remove(aside.path)
      throw error
    }
  }

  /// Writes a folder with the parameters of a checkpoint or of another folder.
  package static func write(
    to folder: URL, configuration: ModelConfiguration, specialTokens: SpecialTokens = SpecialTokens(),
    tokenizerFile: URL? = nil, as type: WeightType = .float32, shardBytes: Int = defaultShardBytes,
    from source: some TensorSource
  ) throws(CheckpointError) {
    try write(
      to: folder, configuration: configuration, specialTokens: specialTokens, tokenizerFile: tokenizerFile,
      as: type, shardBytes: shardBytes
    ) { (tensor, rows, buffer) throws(CheckpointError) in
      let stored = try source.shape(of: tensor.name)
      guard stored == tensor.shape else {
        throw .outsideTensor(name: tensor.name, requested: "the shape \(tensor.shape)", shape: stored)
      }
      guard let base = buffer.baseAddress else { return }
      try source.read(
        tensor.name, into: base, start: [rows.lowerBound] + tensor.shape.dropFirst().map { _ in 0 },
        extents: [rows.count] + tensor.shape.dropFirst())
    }
  }

  private static var metadata: [(String, String)] { [("format", "pt")] }

  private static func entries(_ tensors: [ExchangeTensor], as type: WeightType) -> [SafetensorsEntry] {
    tensors.map { SafetensorsEntry(name: $0.name, type: type.stored, shape: $0.shape) }
  }

  /// Consecutive parameters that together stay within `shardBytes` where a single one does.
  private static func divide(
    _ tensors: [ExchangeTensor], as type: WeightType, into shardBytes: Int
  ) -> [[ExchangeTensor]] {
    var shards: [[ExchangeTensor]] = [[]]
    var filled = 0
    for tensor in tensors {
      let bytes = tensor.elementCount * type.stored.byteCount
      if filled > 0, filled + bytes > shardBytes {
        shards.append([])
        filled = 0
      }
      shards[shards.count - 1].append(tensor)
      filled += bytes
    }
    return shards
  }

  private static func writeWeights(
    _ shards: [[ExchangeTensor]], as type: WeightType, to folder: URL, tensors: RowProvider
  ) throws(CheckpointError) {
    var places: [JSONMember] = []
    for (number, shard) in shards.enumerated() {
      let name =
        shards.count == 1
        ? HuggingFaceWeights.singleFile
        : "model-\(fiveDigits(number + 1))-of-\(fiveDigits(shards.count)).safetensors"
      try writeShard(shard, as: type, to: folder.appendingPathComponent(name).path, tensors: tensors)
      places += shard.map { JSONMember($0.name, .string(name)) }
    }
    guard shards.count > 1 else { return }
    let parameters = shards.joined().reduce(0) { $0 + $1.elementCount }
    let index = JSONValue.object([
      JSONMember(
        "metadata",
        .object([
          JSONMember("total_parameters", .number(parameters)),
          JSONMember("total_size", .number(type.stored.byteCount * parameters)),
        ])),
      JSONMember("weight_map", .object(places.sorted { $0.key < $1.key })),
    ])
    try writeJSON(index, to: folder, HuggingFaceWeights.indexFile)
  }

  private static func writeShard(
    _ shard: [ExchangeTensor], as type: WeightType, to path: String, tensors: RowProvider
  ) throws(CheckpointError) {
    var writer = try SafetensorsWriter.create(path, tensors: entries(shard, as: type), metadata: metadata)
    let largestRow = shard.map { $0.elementCount / max(1, $0.shape[0]) }.max() ?? 1
    let buffer = UnsafeMutableBufferPointer<Float>.allocate(capacity: max(bufferElements, largestRow))
    defer { buffer.deallocate() }
    for tensor in shard {
      let rowElements = tensor.shape.dropFirst().reduce(1, *)
      let rowsAtOnce = max(1, buffer.count / max(1, rowElements))
      for first in stride(from: 0, to: tensor.shape[0], by: rowsAtOnce) {
        let rows = first..<min(first + rowsAtOnce, tensor.shape[0])
        let part = UnsafeMutableBufferPointer(rebasing: buffer[0..<rows.count * rowElements])
        try tensors(tensor, rows, part)
        try writer.append(type.round(part))
      }
    }
    _ = try writer.finish()
  }

  private static func writeTexts(
    to folder: URL, configuration: ModelConfiguration, as type: WeightType, specialTokens: SpecialTokens,
    tokenizerFile: URL?
  ) throws(CheckpointError) {
    try writeJSON(
      HuggingFaceConfiguration.json(of: configuration, as: type, tokens: specialTokens), to: folder,
      "config.json")
    try writeJSON(
      HuggingFaceConfiguration.generationJSON(tokens: specialTokens), to: folder, "generation_config.json")
    guard let tokenizerFile else { return }
    let contents = try JSONValue(readingFile: tokenizerFile.path)
    try Disk.writeFile(
      try Disk.read(tokenizerFile.path), to: folder.appendingPathComponent("tokenizer.json").path)
    try writeJSON(
      HuggingFaceConfiguration.tokenizerJSON(of: configuration, tokens: specialTokens, contents: contents),
      to: folder, "tokenizer_config.json")
  }

  private static func writeJSON(_ value: JSONValue, to folder: URL, _ name: String) throws(CheckpointError) {
    try Disk.writeFile(Array((value.text() + "\n").utf8), to: folder.appendingPathComponent(name).path)
  }

  private static func fiveDigits(_ number: Int) -> String {
    let digits = String(number)
    return String(repeating: "0", count: max(0, 5 - digits.count)) + digits
  }
}
