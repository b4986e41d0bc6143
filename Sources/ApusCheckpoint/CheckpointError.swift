import ApusCore

/// Everything that can go wrong with files of parameters through no fault of Apus: one line each that says
/// what, where and what to do.
package enum CheckpointError: Error, Hashable, Sendable, CustomStringConvertible {
  /// The operating system refused something; `reason` carries its words and errno.
  case system(action: String, path: String, reason: String)
  /// A safetensors file breaks its format.
  case malformedTensorFile(path: String, fault: SafetensorsFault)
  /// A JSON file does not parse or does not hold what it should.
  case malformedJSON(path: String, problem: String)
  /// A tensor was asked for that the file, folder or checkpoint does not hold.
  case tensorNotFound(name: String, path: String)
  /// A tensor's numbers are not floating point numbers that Apus reads.
  case unreadableType(name: String, type: String, path: String)
  /// A weight that is not a finite number.
  case notFinite(name: String, element: Int, value: String)
  /// A range of elements or a slice lies outside its tensor.
  case outsideTensor(name: String, requested: String, shape: [Int])
  /// A Hugging Face folder cannot be used; all its problems.
  case unusableFolder(path: String, problems: [String])
  /// A folder that would be written exists already.
  case alreadyExists(path: String)
  /// The disk has too little room; found out before anything was written.
  case insufficientSpace(path: String, needed: ByteCount, free: ByteCount)
  /// A checkpoint is incomplete or damaged.
  case tornCheckpoint(path: String, reason: String)
  /// A checkpoint of a later format.
  case newerFormat(path: String, version: Int, supported: Int)
  /// A step that has no checkpoint.
  case noSuchStep(step: Int, folder: String, available: [Int])
  /// The pieces given for a tensor overlap or leave a part of it out.
  case incompleteTensor(name: String, problem: String)

  package var description: String {
    switch self {
    case .system(let action, let path, let reason):
      "cannot \(action) \(path): \(reason)"
    case .malformedTensorFile(let path, let fault):
      "\(path) is not a valid safetensors file: \(fault)"
    case .malformedJSON(let path, let problem):
      "\(path): \(problem)"
    case .tensorNotFound(let name, let path):
      "\(path) holds no tensor \"\(name)\""
    case .unreadableType(let name, let type, let path):
      "\(path): \"\(name)\" is stored as \(type), but only F32, F64, BF16 and F16 can be read as parameters"
    case .notFinite(let name, let element, let value):
      "\"\(name)\" holds \(value) at element \(element): the weights are damaged; take another copy"
    case .outsideTensor(let name, let requested, let shape):
      "\(requested) lies outside \"\(name)\", whose shape is \(shape)"
    case .unusableFolder(let path, let problems):
      problems.count == 1
        ? "\(path): \(problems[0])"
        : "\(path) has \(problems.count) problems: " + problems.joined(separator: "; ")
    case .alreadyExists(let path):
      "\(path) exists already and is not empty; remove it or choose another folder"
    case .insufficientSpace(let path, let needed, let free):
      "\(path) needs \(needed) but only \(free) are free there; free some space or choose another folder"
    case .tornCheckpoint(let path, let reason):
      "checkpoint \(path) is incomplete or damaged: \(reason)"
    case .newerFormat(let path, let version, let supported):
      "checkpoint \(path) has format \(version); this Apus reads up to format \(supported), use a newer one"
    case .noSuchStep(let step, let folder, let available):
      "\(folder) has no checkpoint of step \(step); "
        + (available.isEmpty ? "it has none at all" : "it has \(available)")
    case .incompleteTensor(let name, let problem):
      "the pieces of \"\(name)\" do not make a whole tensor: \(problem)"
    }
  }
}
