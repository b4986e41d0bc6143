/// Builds the node tree of one document and notes what a strict configuration does not allow:
/// keys written twice, keys that are no text, anchors, aliases, tags, a second document.
struct YAMLReader {
  private(set) var problems: [Problem] = []
  private let file: String?
  private let isOverride: Bool
  private var events: [YAMLEvent] = []
  private var next = 0

  /// - Parameter file: the name that problems show; nil for the value of an override.
  init(file: String?) {
    self.file = file
    isOverride = file == nil
  }

  /// The document's value, or nil when the text is empty or libyaml cannot read it (a problem then).
  ///
  /// - Parameter path: the dotted path at which the document stands; empty for a file.
  mutating func read(_ text: String, at path: String) -> YAMLNode? {
    do {
      events = try yamlEvents(of: text)
    } catch {
      let place = Place(file: file, line: isOverride ? nil : error.line, isOverride: isOverride)
      problems.append(
        place.problem(path, "is not valid YAML: \(error.message)", "correct the spelling or quote the text"))
      return nil
    }
    guard events.count > 1 else { return nil }
    next = 1
    let node = node(at: path)
    // The event at `next` ends the first document.
    if events.count > next + 1 {
      report(events[next + 1], path, "a second document begins here", "keep one document a file")
    }
    return node
  }

  private func place(_ event: YAMLEvent) -> Place {
    Place(file: file, line: isOverride ? nil : event.line, isOverride: isOverride)
  }

  private mutating func report(_ event: YAMLEvent, _ path: String, _ message: String, _ remedy: String) {
    problems.append(place(event).problem(path, message, remedy))
  }

  private mutating func node(at path: String) -> YAMLNode {
    let event = events[next]
    next += 1
    if let decoration = event.decoration {
      report(event, path, "has the \(decoration), which configurations do not use", "write the plain value")
    }
    switch event.kind {
    case .scalar(let text, let plain):
      return YAMLNode(content: .scalar(text, plain: plain), place: place(event))
    case .listStart:
      return YAMLNode(content: .list(list(at: path)), place: place(event))
    case .mappingStart:
      return YAMLNode(content: .mapping(mapping(at: path)), place: place(event))
    case .alias(let name):
      report(event, path, "refers to *\(name)", "write the value itself, or quote a text that begins with *")
      return YAMLNode(content: .scalar("", plain: true), place: place(event))
    case .documentStart, .documentEnd, .listEnd, .mappingEnd:
      return YAMLNode(content: .scalar("", plain: true), place: place(event))
    }
  }

  private mutating func list(at path: String) -> [YAMLNode] {
    var elements: [YAMLNode] = []
    while next < events.count {
      if case .listEnd = events[next].kind { break }
      elements.append(node(at: "\(path)[\(elements.count)]"))
    }
    next += 1
    return elements
  }

  private mutating func mapping(at path: String) -> [YAMLNode.Entry] {
    var entries: [YAMLNode.Entry] = []
    while next < events.count {
      if case .mappingEnd = events[next].kind { break }
      let keyEvent = events[next]
      let keyNode = node(at: path)
      guard case .scalar(let key, _) = keyNode.content, !key.isEmpty else {
        report(keyEvent, path, "has a key that is no text", "write `key: value`")
        _ = node(at: path)
        continue
      }
      let keyPath = path.isEmpty ? key : "\(path).\(key)"
      let value = node(at: keyPath)
      if let first = entries.first(where: { $0.key == key }) {
        let firstPlace = first.place.line.map { " (first on line \($0))" } ?? ""
        report(keyEvent, keyPath, "is written twice\(firstPlace)", "keep one of the two")
        continue
      }
      entries.append(YAMLNode.Entry(key: key, place: place(keyEvent), value: value))
    }
    next += 1
    return entries
  }
}
