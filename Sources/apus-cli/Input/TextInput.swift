import Foundation

/// A file of text that a command reads whole.
enum TextInput {
  static func text(of path: String) throws(CommandError) -> String {
    guard let data = FileManager.default.contents(atPath: path) else {
      throw .input(path: path, problem: "cannot be read")
    }
    guard let text = String(validating: data, as: UTF8.self) else {
      throw .input(path: path, problem: "is no UTF-8 text")
    }
    return text
  }
}
