/// Values given on the command line: `training.steps=20`, `data.train=[a.txt, b.txt]`.
///
/// An override replaces what the file says at its path, or adds it. The value is YAML: a scalar, or a list
/// or mapping in flow style. `null` removes what the file says. Later overrides win over earlier ones.
enum Overrides {
  /// The document with all overrides applied; those that cannot be applied are problems.
  static func apply(_ overrides: [String], to root: YAMLNode, problems: inout [Problem]) -> YAMLNode {
    var root = root
    for text in overrides { apply(text, to: &root, problems: &problems) }
    return root
  }

  private static func apply(_ text: String, to root: inout YAMLNode, problems: inout [Problem]) {
    let place = Place(isOverride: true)
    guard let equals = text.firstIndex(of: "=") else {
      problems.append(
        place.problem(text, "has no value", "write it as --set \(text.isEmpty ? "section.key" : text)=VALUE"))
      return
    }
    let key = String(text[..<equals])
    let path = key.split(separator: ".", omittingEmptySubsequences: false).map(String.init)
    guard path.count >= 2, !path.contains("") else {
      problems.append(
        place.problem(
          key, "is no path of a key", "write section and key with a dot between, as in training.steps=20"))
      return
    }
    var reader = YAMLReader(file: nil)
    let value = reader.read(String(text[text.index(after: equals)...]), at: key)
    problems += reader.problems
    guard reader.problems.isEmpty else { return }
    let node = value ?? YAMLNode(content: .scalar("", plain: true), place: place)
    if let blocked = set(node, at: path[...], in: &root) {
      problems.append(
        place.problem(
          key,
          "goes through \(path.dropLast(blocked).joined(separator: ".")), which is a list or a single value",
          "set the whole of it, as in --set '\(path.dropLast(blocked).joined(separator: "."))=[...]'"))
    }
  }

  /// Returns how many path elements were left when something other than a mapping stood in the way.
  private static func set(_ value: YAMLNode, at path: ArraySlice<String>, in node: inout YAMLNode) -> Int? {
    guard let key = path.first else {
      node = value
      return nil
    }
    if node.isNull { node.content = .mapping([]) }
    guard case .mapping(var entries) = node.content else { return path.count }
    // What an override leaves out of a section that it creates is missing in the file.
    let empty = YAMLNode(content: .scalar("", plain: true), place: Place(file: node.place.file))
    let index =
      entries.firstIndex { $0.key == key }
      ?? {
        entries.append(YAMLNode.Entry(key: key, place: value.place, value: empty))
        return entries.count - 1
      }()
    let blocked = set(value, at: path.dropFirst(), in: &entries[index].value)
    // The place of the last key is the override's: that is where the value stands now.
    if path.count == 1 { entries[index].place = value.place }
    node.content = .mapping(entries)
    return blocked
  }
}
