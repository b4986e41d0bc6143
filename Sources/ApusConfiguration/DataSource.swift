/// One source of training or validation text: a file, or all files that a glob matches.
public struct DataSource: Hashable, Sendable, Codable {
  /// How the files are read.
  public enum Format: String, Hashable, Sendable, Codable, CaseIterable {
    /// By the file's ending and first bytes.
    case auto
    /// Plain UTF-8 text.
    case text
    /// One JSON object a line, its text in one field.
    case jsonl
    /// Token ids as llm.c writes them.
    case tokens
  }

  /// A file or a glob, relative to the folder in which the program runs.
  public var path: String
  /// How often the source is drawn from, relative to the other sources' weights.
  public var weight: Double
  public var format: Format
  /// The field of a JSON line that holds the text.
  public var textField: String

  public init(path: String, weight: Double = 1, format: Format = .auto, textField: String = "text") {
    self.path = path
    self.weight = weight
    self.format = format
    self.textField = textField
  }

  /// Reads a list of sources, or a single one written without a list.
  static func list(
    _ key: String, in reader: inout SectionReader
  ) -> [DataSource]? {
    guard let node = reader.node(key) else { return nil }
    guard case .list(let elements) = node.content else {
      return source(node, reader.dotted(key), key, in: &reader).map { [$0] }
    }
    if elements.isEmpty {
      reader.report(key, "is an empty list", "write at least one path")
      return nil
    }
    var sources: [DataSource] = []
    for (index, element) in elements.enumerated() {
      if let source = source(element, "\(reader.dotted(key))[\(index)]", key, in: &reader) {
        sources.append(source)
      }
    }
    return sources
  }

  private static func source(
    _ node: YAMLNode, _ path: String, _ key: String, in reader: inout SectionReader
  ) -> DataSource? {
    switch node.content {
    case .scalar(let text, _) where !node.isNull && !text.isEmpty && !text.contains("\0"):
      return DataSource(path: text)
    case .mapping:
      var nested = SectionReader(path: path, node: node, file: reader.place.file ?? "")
      let source = DataSource(reading: &nested)
      nested.reportUnknownKeys()
      reader.absorb(nested, under: key)
      return source
    case .scalar, .list:
      reader.add(
        node.place.problem(
          path, "found \(node.found), expected a path or a mapping with path", "write a path"),
        under: key)
      return nil
    }
  }

  private init(reading reader: inout SectionReader) {
    path = reader.text("path") ?? ""
    reader.reportMissing("path", "write the file or a glob")
    weight = reader.number("weight", .positive) ?? 1
    format = reader.choice("format", Format.self) ?? .auto
    textField = reader.text("text_field") ?? "text"
    if reader.isGood("format"), format == .text || format == .tokens {
      reader.refuse("text_field", because: "has no meaning for the format \(format.rawValue)")
    }
  }

  var resolved: ResolvedValue {
    var entries = ResolvedEntries()
    entries.add("path", path)
    entries.add("weight", weight)
    entries.add("format", format.rawValue)
    if format == .auto || format == .jsonl { entries.add("text_field", textField) }
    return .mapping(entries)
  }
}
