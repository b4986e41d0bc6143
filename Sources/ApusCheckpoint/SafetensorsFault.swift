/// The ways in which a safetensors file can break its format, each with the numbers that show it.
package enum SafetensorsFault: Error, Hashable, Sendable, CustomStringConvertible {
  case tooShort(bytes: Int)
  case emptyHeader
  case headerTooLong(length: UInt64, limit: Int)
  case headerBeyondFile(length: UInt64, fileBytes: Int)
  case notJSON(problem: String, offset: Int)
  case duplicateKey(String)
  case notAnObject
  case invalidMetadata(problem: String)
  case invalidEntry(name: String, problem: String)
  case unknownType(name: String, type: String)
  case shapeOverflow(name: String, shape: [Int])
  case reversedOffsets(name: String, begin: Int, end: Int)
  case offsetsBeyondFile(name: String, end: Int, dataBytes: Int)
  case sizeMismatch(name: String, offsetBytes: Int, shapeBytes: Int)
  case overlap(first: String, second: String, begin: Int, firstEnd: Int)
  case hole(before: String, from: Int, to: Int)
  case trailingBytes(used: Int, dataBytes: Int)

  package var description: String {
    switch self {
    case .tooShort(let bytes):
      "it has \(bytes) bytes, but the length of the header alone takes 8"
    case .emptyHeader:
      "its header has length 0"
    case .headerTooLong(let length, let limit):
      "its header claims \(length) bytes, more than the format's limit of \(limit)"
    case .headerBeyondFile(let length, let fileBytes):
      "its header claims \(length) bytes, but the file has \(fileBytes) in all (cut short?)"
    case .notJSON(let problem, let offset):
      "its header is not JSON: \(problem) at byte \(offset) of the header"
    case .duplicateKey(let key):
      "its header names \"\(key)\" twice"
    case .notAnObject:
      "its header is JSON but not an object"
    case .invalidMetadata(let problem):
      "its __metadata__ \(problem)"
    case .invalidEntry(let name, let problem):
      "the entry of \"\(name)\" \(problem)"
    case .unknownType(let name, let type):
      "\"\(name)\" has the unknown element type \"\(type)\""
    case .shapeOverflow(let name, let shape):
      "the shape \(shape) of \"\(name)\" has more bytes than a 64-bit number counts"
    case .reversedOffsets(let name, let begin, let end):
      "\"\(name)\" begins at \(begin) and ends before that, at \(end)"
    case .offsetsBeyondFile(let name, let end, let dataBytes):
      "\"\(name)\" ends at byte \(end) of the data, but there are only \(dataBytes) (cut short?)"
    case .sizeMismatch(let name, let offsetBytes, let shapeBytes):
      "the offsets of \"\(name)\" span \(offsetBytes) bytes, its shape and type need \(shapeBytes)"
    case .overlap(let first, let second, let begin, let firstEnd):
      "\"\(second)\" begins at byte \(begin), before \"\(first)\" ends at \(firstEnd)"
    case .hole(let before, let from, let to):
      "bytes \(from) to \(to), before \"\(before)\", belong to no tensor"
    case .trailingBytes(let used, let dataBytes):
      "its tensors end at byte \(used) of the data, but there are \(dataBytes)"
    }
  }
}
