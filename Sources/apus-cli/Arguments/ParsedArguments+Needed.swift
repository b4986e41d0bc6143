import Foundation

extension ParsedArguments {
  /// The value of an option that the command cannot do without.
  ///
  /// - Parameter example: a value for the message, as in `write --output tokenizer.json`.
  func needed(_ option: String, example: String) throws(UsageError) -> String {
    guard let value = text(option) else {
      throw UsageError("--\(option) is missing; write for example --\(option) \(example)")
    }
    return value
  }

  /// The value of `--threads`; all cores when it is not given.
  var threads: Int { integer("threads") ?? ProcessInfo.processInfo.activeProcessorCount }
}

extension Option {
  static let threads = Option.value(
    "threads", "N", .integer(1...4096), help: "Threads that encode; all cores when not given.")
}
