/// Reads the keys of one mapping and notes everything that is wrong with them.
///
/// Asking for a key makes it known; keys that were never asked for are unknown, so no second list of names
/// is kept. A getter returns nil both when the key is absent and when its value is bad: `has` and `isGood`
/// tell the two apart, so that one mistake does not bring others behind it.
package struct SectionReader {
  /// The dotted path of the mapping: `training`, `data.train[0]`; empty for the document.
  package let path: String
  /// Where the mapping is written; the file alone when it is absent.
  let place: Place
  /// Every key that was asked for, aliases included, in order.
  package private(set) var known: [String] = []
  package private(set) var problems: [Problem] = []
  private var entries: [YAMLNode.Entry] = []
  private var bad: Set<String> = []

  init(path: String, node: YAMLNode?, file: String) {
    self.path = path
    place = node?.place ?? Place(file: file)
    switch node?.content {
    case .mapping(let entries): self.entries = entries
    case .scalar, .list:
      if let node, !node.isNull {
        problems.append(
          place.problem(path, "the section is \(node.found)", "write a mapping, one `key: value` a line"))
      }
    case nil: break
    }
  }

  /// True when the key is written with a value other than null.
  package func has(_ key: String) -> Bool { entries.contains { $0.key == key && !$0.value.isNull } }

  /// True when the key is written, be it with null.
  package func writes(_ key: String) -> Bool { entries.contains { $0.key == key } }

  /// True when no problem was noted for any of the keys.
  package func isGood(_ keys: String...) -> Bool { bad.isDisjoint(with: keys) }

  /// Notes a problem at the key's place, or at the section's when the key is absent.
  package mutating func report(_ key: String, _ message: String, _ remedy: String) {
    bad.insert(key)
    let place = entries.first { $0.key == key }?.place ?? place
    problems.append(place.problem(dotted(key), message, remedy))
  }

  /// Notes a required key that is absent.
  package mutating func reportMissing(_ key: String, _ remedy: String) {
    if !has(key), isGood(key) { report(key, "is missing", remedy) }
  }

  /// Notes a key that is written although it cannot have an effect.
  package mutating func refuse(_ key: String, because reason: String, _ remedy: String = "remove it") {
    if has(key) { report(key, reason, remedy) }
  }

  func dotted(_ key: String) -> String { path.isEmpty ? key : "\(path).\(key)" }

  /// The node of a key, or nil when it is absent. Among a name and its aliases one may be written; an
  /// override beats what the file says under another spelling.
  mutating func node(_ key: String, aliases: [String] = []) -> YAMLNode? {
    known += [key] + aliases
    let written = entries.filter { ([key] + aliases).contains($0.key) }
    var chosen = written.filter { $0.value.place.isOverride }
    if chosen.isEmpty { chosen = written }
    if chosen.count > 1 {
      report(
        chosen[1].key, "says the same as \(chosen[0].key), which is written too", "keep one of the two names")
      bad.insert(key)
    }
    guard let first = chosen.first, !first.value.isNull else { return nil }
    return first.value
  }

  /// Notes a problem of a value inside the key's.
  mutating func add(_ problem: Problem, under key: String) {
    bad.insert(key)
    problems.append(problem)
  }

  /// Takes over what a nested reader found.
  package mutating func absorb(_ nested: SectionReader, under key: String) {
    if !nested.problems.isEmpty { bad.insert(key) }
    problems += nested.problems
  }

  /// Notes every key that nobody asked for, with the nearest valid name.
  ///
  /// - Parameter owners: for each key of the other sections, the sections that know it.
  package mutating func reportUnknownKeys(owners: [String: [String]] = [:]) {
    for entry in entries where !known.contains(entry.key) {
      let remedy: String
      if let near = nearestName(to: entry.key, in: known) {
        remedy = "did you mean \(near)?"
      } else if let sections = owners[entry.key] {
        remedy = "it belongs to the section \(alternatives(sections))"
      } else {
        remedy = "valid are \(known.joined(separator: ", "))"
      }
      problems.append(entry.place.problem(dotted(entry.key), "is an unknown key", remedy))
    }
  }
}
