/// A mistake on the command line: one line that says what and what to do.
package struct UsageError: Error, CustomStringConvertible, Equatable {
  package let description: String

  package init(_ description: String) { self.description = description }
}

/// Ends the command with a status after it has already told why, for example as JSON.
package struct ExitStatus: Error, Equatable {
  package let code: Int32

  package init(code: Int32) { self.code = code }

  /// The user's mistake: bad command line or configuration.
  package static let usage = ExitStatus(code: 2)
  /// A step needs more memory than there is.
  package static let memory = ExitStatus(code: 3)
}
