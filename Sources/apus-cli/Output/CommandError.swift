/// What stops a command that was asked for correctly: one line that says what, where and what to do.
package enum CommandError: Error, Equatable, CustomStringConvertible {
  /// Something that is read is missing or is not what it should be.
  case input(path: String, problem: String)
  /// The result would take the place of something; nothing is overwritten.
  case taken(path: String, problem: String)
  /// The result cannot be written.
  case output(path: String, problem: String)
  /// The tokenizer of a folder that is imported cannot be followed, or does not fit the model.
  case unusableTokenizer(String)
  /// A checkpoint was looked at and found damaged; the report is already printed.
  case damaged(String)

  package var description: String {
    switch self {
    case .input(let path, let problem), .taken(let path, let problem): "\(path) \(problem)"
    case .output(let path, let problem): "cannot write \(path): \(problem)"
    case .unusableTokenizer(let problem):
      "\(problem); without tokenizer.json in the folder the weights alone are imported"
    case .damaged(let text): text
    }
  }
}
