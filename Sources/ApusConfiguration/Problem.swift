/// One mistake in a configuration: where it is, what is wrong and what to do about it.
public struct Problem: Hashable, Sendable, Codable, CustomStringConvertible {
  /// The configuration file's name; nil when the value came from an override or from no file at all.
  public var file: String?
  /// The line in the file, counted from 1; nil when the file as a whole is meant.
  public var line: Int?
  /// True when the value came from `--set`.
  public var isOverride: Bool
  /// The dotted path of the key: `training.steps`; empty when the file as a whole is meant.
  public var key: String
  /// What is wrong, with the values that were found.
  public var message: String
  /// What the user can do.
  public var remedy: String

  private enum CodingKeys: String, CodingKey {
    case file, line
    case isOverride = "is_override"
    case key, message, remedy
  }

  public init(
    file: String? = nil, line: Int? = nil, isOverride: Bool = false, key: String, message: String,
    remedy: String
  ) {
    self.file = file
    self.line = line
    self.isOverride = isOverride
    self.key = key
    self.message = message
    self.remedy = remedy
  }

  /// One line: `job.yaml:12: training.steps: message; remedy`, or `--set training.steps: message; remedy`.
  public var description: String {
    var text = ""
    if isOverride {
      text = "--set \(key)\(key.isEmpty ? "" : ": ")"
    } else {
      if let file { text += line.map { "\(file):\($0): " } ?? "\(file): " }
      if !key.isEmpty { text += "\(key): " }
    }
    return "\(text)\(message); \(remedy)".oneLine
  }
}

extension String {
  /// The text with its control characters escaped, so that a quoted value cannot split a message.
  var oneLine: String {
    unicodeScalars.map { scalar in
      switch scalar {
      case "\n": "\\n"
      case "\0"..<" ", "\u{7F}"..."\u{9F}", "\u{2028}", "\u{2029}":
        "\\u{" + String(scalar.value, radix: 16) + "}"
      default: String(scalar)
      }
    }.joined()
  }
}

/// Everything that is wrong with a configuration, found before anything else happened.
public struct ConfigurationError: Error, Hashable, Sendable, CustomStringConvertible {
  /// At least one problem, in the order of the file, then those of the overrides.
  public let problems: [Problem]

  public init(problems: [Problem]) { self.problems = problems }

  /// One line a problem.
  public var description: String { problems.map(\.description).joined(separator: "\n") }
}

/// Where a value was written.
struct Place: Hashable, Sendable {
  var file: String?
  var line: Int?
  var isOverride = false

  func problem(_ key: String, _ message: String, _ remedy: String) -> Problem {
    Problem(file: file, line: line, isOverride: isOverride, key: key, message: message, remedy: remedy)
  }
}
