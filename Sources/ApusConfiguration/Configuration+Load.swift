public import Foundation

extension Configuration {
  /// Reads a YAML file.
  ///
  /// - Parameter overrides: texts such as `training.steps=20`; they win over the file, later over earlier.
  /// - Throws: all problems of the file and the overrides at once.
  public static func load(file: URL, overrides: [String] = []) throws(ConfigurationError) -> Configuration {
    let name = file.relativePath
    let text: String
    do {
      let bytes = try Data(contentsOf: file)
      guard let decoded = String(validating: bytes, as: UTF8.self) else {
        throw ConfigurationError(problems: [
          Problem(file: name, key: "", message: "is no UTF-8 text", remedy: "save it as UTF-8")
        ])
      }
      text = decoded
    } catch let error as ConfigurationError {
      throw error
    } catch {
      let exists = FileManager.default.fileExists(atPath: file.path)
      throw ConfigurationError(problems: [
        Problem(
          file: name, key: "", message: exists ? "cannot be read" : "does not exist",
          remedy: exists ? "check that it is a file and its permissions" : "check the path")
      ])
    }
    return try parse(yaml: text, name: name, overrides: overrides)
  }

  /// Reads YAML text.
  ///
  /// - Parameter name: the name that problems show; the default run folder is `runs/` and its last
  ///   component without extension.
  public static func parse(
    yaml: String, name: String, overrides: [String] = []
  ) throws(ConfigurationError) -> Configuration {
    var reader = YAMLReader(file: name)
    let written = reader.read(yaml, at: "")
    var problems = reader.problems
    let empty = YAMLNode(content: .mapping([]), place: Place(file: name))
    // A file that is no mapping says nothing about its keys; the overrides are still checked.
    var isReadable = written != nil || problems.isEmpty
    var base = written ?? empty
    if case .mapping = base.content {
    } else if !base.isNull {
      let message = "the file is \(base.found)"
      problems.append(base.place.problem("", message, "write a mapping, one `key: value` a line"))
      (isReadable, base) = (false, empty)
    }
    let root = Overrides.apply(overrides, to: base, problems: &problems)
    let stem = URL(fileURLWithPath: name).deletingPathExtension().lastPathComponent
    let document = ConfigurationDocument(root: root, file: name, stem: stem)
    if isReadable { problems += document.problems }
    guard problems.isEmpty else { throw ConfigurationError(problems: inOrder(problems)) }
    return document.configuration
  }

  /// Every section with its keys in order, aliases included.
  package static var knownKeys: [(section: String, keys: [String])] {
    ConfigurationDocument(root: YAMLNode(content: .mapping([]), place: Place()), file: "", stem: "").knownKeys
  }

  /// The file's problems by line, then those of the overrides; otherwise as they were found.
  private static func inOrder(_ problems: [Problem]) -> [Problem] {
    problems.enumerated().sorted { a, b in
      let left = (a.element.isOverride ? 1 : 0, a.element.line ?? 0, a.offset)
      let right = (b.element.isOverride ? 1 : 0, b.element.line ?? 0, b.offset)
      return left < right
    }.map(\.element)
  }
}
