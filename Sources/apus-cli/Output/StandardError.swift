import Foundation

/// Standard error: what a person should know that is no result.
enum StandardError {
  /// Writes one line.
  static func note(_ text: String) {
    FileHandle.standardError.write(Data("apus: \(text)\n".utf8))
  }
}
