/// A mistake on the command line: one line that says what and what to do.
struct UsageError: Error, CustomStringConvertible, Equatable {
  let description: String

  init(_ description: String) { self.description = description }
}

/// Ends the command with a status after it has already told why, for example as JSON.
struct ExitStatus: Error, Equatable {
  let code: Int32

  /// The user's mistake: bad command line or configuration.
  static let usage = ExitStatus(code: 2)
}
