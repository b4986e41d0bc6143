extension SectionReader {
  /// Reads one YAML document that is a mapping, for the strict files of other parts: hardware, sweeps.
  ///
  /// - Parameter name: the file's name, which problems show.
  /// - Throws: what is wrong with the text as YAML.
  package static func document(yaml: String, name: String) throws(ConfigurationError) -> SectionReader {
    var reader = YAMLReader(file: name)
    let root = reader.read(yaml, at: "")
    var problems = reader.problems
    if root == nil, problems.isEmpty {
      problems.append(
        Problem(file: name, key: "", message: "is empty", remedy: "write a mapping, one `key: value` a line"))
    }
    guard problems.isEmpty else { throw ConfigurationError(problems: problems) }
    return SectionReader(path: "", node: root, file: name)
  }

  /// The reader of a nested mapping; nil where the key is absent.
  package mutating func section(_ key: String) -> SectionReader? {
    node(key).map { SectionReader(path: dotted(key), node: $0, file: $0.place.file ?? "") }
  }

  /// Takes over a nested reader's problems, its unknown keys included.
  package mutating func finish(_ nested: SectionReader, under key: String) {
    var nested = nested
    nested.reportUnknownKeys()
    absorb(nested, under: key)
  }

  /// Throws when anything was wrong, unknown keys included.
  package mutating func checkAll() throws(ConfigurationError) {
    reportUnknownKeys()
    if !problems.isEmpty { throw ConfigurationError(problems: problems) }
  }

  /// The texts of a list of scalars; nil where the key is absent.
  package mutating func texts(_ key: String) -> [String]? {
    guard let node = node(key) else { return nil }
    guard case .list(let elements) = node.content else {
      reportType(node, key, "a list of texts")
      return nil
    }
    return elements.compactMap { element in
      guard case .scalar(let text, _) = element.content else {
        reportType(element, key, "a list of texts")
        return nil
      }
      return text
    }
  }

  /// The keys of a mapping of positive numbers, such as a peak by element type; nil where it is absent.
  package mutating func numbers(_ key: String) -> [String: Double]? {
    guard let node = node(key) else { return nil }
    guard case .mapping(let entries) = node.content else {
      reportType(node, key, "a mapping of numbers")
      return nil
    }
    var values: [String: Double] = [:]
    for entry in entries {
      if case .scalar(let text, plain: true) = entry.value.content, let value = parseNumber(text), value > 0 {
        values[entry.key] = value
      } else {
        reportType(entry.value, key, "a number above 0 for \(entry.key)")
      }
    }
    return values
  }
}
