import ApusCore

/// One tensor of a safetensors file, checked against the file.
package struct TensorEntry: Hashable, Sendable {
  package var type: SafetensorsType
  package var shape: [Int]
  /// The tensor's bytes, counted from the start of the file.
  package var byteRange: Range<Int>

  /// Elements of the tensor; 1 for a scalar.
  package var elementCount: Int { shape.reduce(1, *) }
}

/// The header of a safetensors file: eight bytes of length (little endian), then a JSON object that maps
/// each tensor's name to its type, shape and byte offsets.
///
/// Source: the format's description at https://github.com/huggingface/safetensors.
struct SafetensorsHeader {
  /// The format's limit for the JSON text, in bytes.
  static let longest = 100_000_000

  var tensors: [String: TensorEntry]
  var metadata: [String: String]

  /// Reads and checks the header at the start of `file`: afterwards the tensors tile the data exactly.
  static func parse(_ file: UnsafeRawBufferPointer) throws(SafetensorsFault) -> SafetensorsHeader {
    guard file.count >= 8 else { throw .tooShort(bytes: file.count) }
    let length = UInt64(littleEndian: file.loadUnaligned(as: UInt64.self))
    guard length > 0 else { throw .emptyHeader }
    guard length <= UInt64(longest) else { throw .headerTooLong(length: length, limit: longest) }
    guard Int(length) <= file.count - 8 else {
      throw .headerBeyondFile(length: length, fileBytes: file.count)
    }
    let dataStart = 8 + Int(length)
    let root: JSONValue
    do {
      root = try JSONValue(
        parsing: UnsafeRawBufferPointer(rebasing: file[8..<dataStart]), duplicateKeys: .refused)
    } catch {
      if let key = error.duplicateKey { throw .duplicateKey(key) }
      throw .notJSON(problem: error.problem, offset: error.offset)
    }
    guard let members = root.members else { throw .notAnObject }

    var header = SafetensorsHeader(tensors: [:], metadata: [:])
    let dataBytes = file.count - dataStart
    for member in members {
      if member.key == "__metadata__" {
        header.metadata = try metadata(member.value)
      } else {
        let entry = try entry(member, dataStart: dataStart, dataBytes: dataBytes)
        // Names whose bytes differ but whose characters do not are one name to a dictionary.
        guard header.tensors.updateValue(entry, forKey: member.key) == nil else {
          throw .duplicateKey(member.key)
        }
      }
    }
    try header.checkTiling(dataStart: dataStart, dataBytes: dataBytes)
    return header
  }

  private static func metadata(_ value: JSONValue) throws(SafetensorsFault) -> [String: String] {
    guard let members = value.members else { throw .invalidMetadata(problem: "is not an object") }
    var result: [String: String] = [:]
    for member in members {
      guard let text = member.value.string else {
        throw .invalidMetadata(problem: "has a value for \"\(member.key)\" that is not a string")
      }
      result[member.key] = text
    }
    return result
  }

  private static func entry(
    _ member: JSONMember, dataStart: Int, dataBytes: Int
  ) throws(SafetensorsFault) -> TensorEntry {
    let name = member.key
    guard member.value.members != nil else {
      throw .invalidEntry(name: name, problem: "is not an object")
    }
    guard let typeName = member.value["dtype"]?.string else {
      throw .invalidEntry(name: name, problem: "has no dtype")
    }
    guard let type = SafetensorsType(rawValue: typeName) else {
      throw .unknownType(name: name, type: typeName)
    }
    guard let shape = member.value["shape"]?.integers, shape.allSatisfy({ $0 >= 0 }) else {
      throw .invalidEntry(name: name, problem: "has no shape of non-negative whole numbers")
    }
    guard let offsets = member.value["data_offsets"]?.integers, offsets.count == 2 else {
      throw .invalidEntry(name: name, problem: "has no data_offsets of two whole numbers")
    }
    let (begin, end) = (offsets[0], offsets[1])
    guard begin >= 0, end >= 0 else {
      throw .invalidEntry(name: name, problem: "has negative data_offsets \(offsets)")
    }
    guard begin <= end else { throw .reversedOffsets(name: name, begin: begin, end: end) }
    guard end <= dataBytes else { throw .offsetsBeyondFile(name: name, end: end, dataBytes: dataBytes) }
    var bytes = type.byteCount
    for extent in shape {
      let product = bytes.multipliedReportingOverflow(by: extent)
      guard !product.overflow else { throw .shapeOverflow(name: name, shape: shape) }
      bytes = product.partialValue
    }
    guard end - begin == bytes else {
      throw .sizeMismatch(name: name, offsetBytes: end - begin, shapeBytes: bytes)
    }
    return TensorEntry(type: type, shape: shape, byteRange: dataStart + begin..<dataStart + end)
  }

  /// Throws unless the tensors follow each other without overlap or hole up to the file's end.
  private func checkTiling(dataStart: Int, dataBytes: Int) throws(SafetensorsFault) {
    let inOrder = tensors.sorted {
      ($0.value.byteRange.lowerBound, $0.value.byteRange.upperBound, $0.key)
        < ($1.value.byteRange.lowerBound, $1.value.byteRange.upperBound, $1.key)
    }
    var (cursor, previous) = (0, "")
    for (name, entry) in inOrder {
      let begin = entry.byteRange.lowerBound - dataStart
      guard begin >= cursor else {
        throw .overlap(first: previous, second: name, begin: begin, firstEnd: cursor)
      }
      guard begin == cursor else { throw .hole(before: name, from: cursor, to: begin) }
      (cursor, previous) = (entry.byteRange.upperBound - dataStart, name)
    }
    guard cursor == dataBytes else { throw .trailingBytes(used: cursor, dataBytes: dataBytes) }
  }

  /// The bytes in front of the data of a file with `tensors` in this order: length, JSON, and spaces so
  /// that the data begin at a multiple of eight.
  static func encode(_ tensors: [SafetensorsEntry], metadata: [(String, String)]) -> [UInt8] {
    var parts: [String] = []
    if !metadata.isEmpty {
      let pairs = metadata.map { JSONValue.quoted($0.0) + ":" + JSONValue.quoted($0.1) }
      parts.append("\"__metadata__\":{" + pairs.joined(separator: ",") + "}")
    }
    var offset = 0
    for tensor in tensors {
      let end = offset + tensor.byteCount
      let shape = tensor.shape.map(String.init).joined(separator: ",")
      parts.append(
        JSONValue.quoted(tensor.name) + ":{\"dtype\":\"\(tensor.type.rawValue)\",\"shape\":[\(shape)],"
          + "\"data_offsets\":[\(offset),\(end)]}")
      offset = end
    }
    var json = Array(("{" + parts.joined(separator: ",") + "}").utf8)
    while json.count % 8 != 0 { json.append(0x20) }
    let length = UInt64(json.count)
    return (0..<8).map { UInt8(truncatingIfNeeded: length >> (8 * $0)) } + json
  }
}
