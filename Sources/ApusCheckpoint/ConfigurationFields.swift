import ApusCore

/// The fields of a `config.json`, read with defaults while problems are collected instead of thrown.
struct ConfigurationFields {
  let root: JSONValue
  /// What stands in front of the keys in messages, such as `rope_scaling.`.
  var path = ""
  var problems: [String] = []

  init(_ root: JSONValue, path: String = "") {
    self.root = root
    self.path = path
  }

  /// Sizes above this are refused; products of two of them still fit into 64 bits.
  private static let largestSize = 1 << 31 - 1

  /// The field, if it is there and not null.
  func present(_ key: String) -> JSONValue? {
    guard let value = root[key], !value.isNull else { return nil }
    return value
  }

  /// A whole number of at least 1; `fallback` if it is missing, a problem if there is no fallback.
  mutating func size(_ key: String, default fallback: Int? = nil) -> Int {
    guard let value = present(key) else {
      if fallback == nil { problems.append("\(path)\(key) is missing") }
      return fallback ?? 1
    }
    guard let number = value.integer, number >= 1, number <= ConfigurationFields.largestSize else {
      problems.append("\(path)\(key) is \(value.text()), expected a whole number of at least 1")
      return 1
    }
    return number
  }

  /// A finite number above zero.
  mutating func positive(_ key: String, default fallback: Double? = nil) -> Double {
    guard let value = present(key) else {
      if fallback == nil { problems.append("\(path)\(key) is missing") }
      return fallback ?? 1
    }
    guard let number = value.double, number > 0, number.isFinite else {
      problems.append("\(path)\(key) is \(value.text()), expected a number above 0")
      return 1
    }
    return number
  }

  /// True or false.
  mutating func flag(_ key: String, default fallback: Bool) -> Bool {
    guard let value = present(key) else { return fallback }
    guard let flag = value.bool else {
      problems.append("\(path)\(key) is \(value.text()), expected true or false")
      return fallback
    }
    return flag
  }

  /// A text.
  mutating func text(_ key: String, default fallback: String) -> String {
    guard let value = present(key) else { return fallback }
    guard let text = value.string else {
      problems.append("\(path)\(key) is \(value.text()), expected a text")
      return fallback
    }
    return text
  }

  /// Notes a problem unless the field has the only value that Apus computes with, or is missing.
  mutating func demand(_ key: String, _ expected: Bool, because reason: String) {
    if flag(key, default: expected) != expected {
      problems.append("\(path)\(key) is \(!expected): \(reason)")
    }
  }

  /// Notes a problem unless the text is the only one that Apus computes with, or is missing.
  mutating func demand(_ key: String, _ expected: String) {
    let found = text(key, default: expected)
    if found != expected {
      problems.append("\(path)\(key) is \"\(found)\"; only \"\(expected)\" is supported")
    }
  }
}
