extension SectionReader {
  /// A list of whole numbers in a range, or one alone; nil where the key is absent.
  package mutating func integers(_ key: String, _ range: ClosedRange<Int> = 1...Int.max) -> [Int]? {
    guard let texts = scalars(key) else { return nil }
    var values: [Int] = []
    for text in texts {
      guard let value = Int(text), range.contains(value) else {
        report(
          key, "\"\(text)\" is no whole number from \(range.lowerBound)", "write numbers, as in [1, 2, 4]")
        continue
      }
      values.append(value)
    }
    return values
  }

  /// A list of words, or one alone; nil where the key is absent.
  package mutating func words(_ key: String) -> [String]? { scalars(key) }

  /// A mapping whose values are lists or single values, in the order written; nil where the key is absent.
  package mutating func variations(_ key: String) -> [(key: String, values: [String])]? {
    node(key).flatMap { variations(of: $0, key) }
  }

  /// One such mapping or a list of them; nil where the key is absent.
  package mutating func listOfCrossedVariations(_ key: String) -> [[(key: String, values: [String])]]? {
    guard let node = node(key) else { return nil }
    guard case .list(let elements) = node.content else { return variations(of: node, key).map { [$0] } }
    return elements.compactMap { variations(of: $0, key) }
  }

  private mutating func variations(
    of node: YAMLNode, _ key: String
  ) -> [(key: String, values: [String])]? {
    guard case .mapping(let entries) = node.content else {
      reportType(node, key, "a mapping of lists")
      return nil
    }
    return entries.map { entry in (entry.key, texts(of: entry.value, key) ?? []) }
  }

  /// A list of mappings of single values; nil where the key is absent.
  package mutating func listOfVariations(_ key: String) -> [[(key: String, value: String)]]? {
    guard let node = node(key) else { return nil }
    guard case .list(let elements) = node.content else {
      reportType(node, key, "a list of mappings")
      return nil
    }
    return elements.map { element in
      guard case .mapping(let entries) = element.content else {
        reportType(element, key, "a mapping of values")
        return []
      }
      return entries.compactMap { entry in
        texts(of: entry.value, key)?.first.map { (entry.key, $0) }
      }
    }
  }

  private mutating func scalars(_ key: String) -> [String]? {
    guard let node = node(key) else { return nil }
    return texts(of: node, key)
  }

  private mutating func texts(of node: YAMLNode, _ key: String) -> [String]? {
    switch node.content {
    case .scalar(let text, _): return [text]
    case .list(let elements):
      var texts: [String] = []
      for element in elements {
        if case .scalar(let text, _) = element.content {
          texts.append(text)
        } else {
          reportType(element, key, "a list of single values")
        }
      }
      if texts.isEmpty { report(key, "is an empty list", "write at least one value") }
      return texts
    case .mapping:
      reportType(node, key, "a list of values")
      return nil
    }
  }
}
