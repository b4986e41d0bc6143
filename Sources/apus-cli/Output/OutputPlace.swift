import Foundation

/// Where a command puts its result, checked before the work begins: nothing there is overwritten, and no work
/// is done in vain.
struct OutputPlace {
  let path: String
  var url: URL { URL(fileURLWithPath: path) }

  /// What will stand there.
  enum Kind {
    /// A file; the name is what it would be called in a folder.
    case file(named: String)
    /// A folder; an empty one may exist already.
    case folder
  }

  init(_ path: String, _ kind: Kind) throws(CommandError) {
    var path = path
    while path.count > 1, path.hasSuffix("/") { path.removeLast() }
    self.path = path
    guard !path.isEmpty else { throw .output(path: "to \"\"", problem: "the name is empty") }
    if Self.exists(path) { try refuse(kind) }
    try checkParent()
  }

  private func refuse(_ kind: Kind) throws(CommandError) {
    let isFolder = Self.isFolder(path)
    switch kind {
    case .file(let name) where isFolder:
      throw .taken(path: path, problem: "is a folder; write --output \(path)/\(name)")
    case .file:
      throw .taken(path: path, problem: "exists already; remove it or write --output \(freeName(kind))")
    case .folder where !isFolder:
      throw .taken(path: path, problem: "is a file; write --output \(freeName(kind))")
    case .folder:
      if (try? FileManager.default.contentsOfDirectory(atPath: path).isEmpty) == true { return }
      throw .taken(
        path: path,
        problem: "exists already and is not empty; remove it or write --output \(freeName(kind))")
    }
  }

  /// The same name with the first number after it that is free: `tokenizer-2.json`, `data-2`.
  private func freeName(_ kind: Kind) -> String {
    var (stem, ending) = (path, "")
    if case .file = kind {
      let extent = url.pathExtension
      if !extent.isEmpty { (stem, ending) = (String(path.dropLast(extent.count + 1)), "." + extent) }
    }
    return (2...).lazy.map { "\(stem)-\($0)\(ending)" }.first { !Self.exists($0) } ?? path
  }

  /// The nearest folder above that exists must take new entries.
  private func checkParent() throws(CommandError) {
    var parent = url.standardizedFileURL.deletingLastPathComponent()
    while !Self.exists(parent.path), parent.path != "/" { parent = parent.deletingLastPathComponent() }
    guard Self.isFolder(parent.path) else {
      throw .output(path: path, problem: "\(parent.path) is a file, not a folder")
    }
    guard access(parent.path, W_OK) == 0 else {
      throw .output(path: path, problem: "\(String(cString: strerror(errno))) in \(parent.path)")
    }
  }

  /// Makes the folders above.
  func makeParent() throws(CommandError) {
    let parent = url.standardizedFileURL.deletingLastPathComponent()
    do { try FileManager.default.createDirectory(at: parent, withIntermediateDirectories: true) } catch {
      throw .output(path: path, problem: StandardOutput.words(of: error))
    }
  }

  /// Writes a whole file there, or nothing.
  func write(_ bytes: [UInt8]) throws(CommandError) {
    try makeParent()
    do { try Data(bytes).write(to: url, options: .atomic) } catch {
      throw .output(path: path, problem: StandardOutput.words(of: error))
    }
  }

  private static func exists(_ path: String) -> Bool {
    var status = stat()
    return lstat(path, &status) == 0
  }

  private static func isFolder(_ path: String) -> Bool {
    var isFolder: ObjCBool = false
    return FileManager.default.fileExists(atPath: path, isDirectory: &isFolder) && isFolder.boolValue
  }
}

/// A folder that is filled beside its place and moved there when complete; dropped unfinished, it is removed.
struct AsideFolder: ~Copyable {
  /// Where files are written until `finish`: the place's name with `.partial-` and the process's number.
  let url: URL
  private let place: OutputPlace
  private var finished = false

  init(for place: OutputPlace) throws(CommandError) {
    self.place = place
    url = URL(fileURLWithPath: "\(place.path).partial-\(getpid())")
    do { try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true) } catch {
      throw .output(path: place.path, problem: StandardOutput.words(of: error))
    }
  }

  deinit { if !finished { try? FileManager.default.removeItem(at: url) } }

  /// Copies a file into the folder under a name.
  func copy(_ file: URL, as name: String) throws(CommandError) {
    do { try FileManager.default.copyItem(at: file, to: url.appendingPathComponent(name)) } catch {
      throw .output(path: "\(place.path)/\(name)", problem: StandardOutput.words(of: error))
    }
  }

  /// Gives the folder its name.
  mutating func finish() throws(CommandError) {
    guard rename(url.path, place.path) == 0 else {
      throw .output(path: place.path, problem: String(cString: strerror(errno)))
    }
    finished = true
  }
}
