import ApusReport
import Foundation

/// Standard output, written past any buffer: a full disk is an error, not silence.
enum StandardOutput {
  static func write(_ bytes: some Collection<UInt8>) throws(CommandError) {
    do { try FileHandle.standardOutput.write(contentsOf: Data(bytes)) } catch {
      throw .output(path: "the output", problem: words(of: error))
    }
  }

  /// Writes a text as it stands.
  static func write(_ text: String) throws(CommandError) { try write(text.utf8) }

  /// Writes a value as JSON, and a line feed.
  static func write(json value: some Encodable) throws { try write(try JSONText.of(value) + "\n") }

  /// The system's words in a Foundation error.
  static func words(of error: any Error) -> String {
    let error = error as NSError
    let cause = error.userInfo[NSUnderlyingErrorKey] as? NSError ?? error
    return cause.domain == NSPOSIXErrorDomain
      ? String(cString: strerror(Int32(cause.code))) : cause.localizedDescription
  }
}

/// A field that `--json` always prints, as null where there is nothing.
struct OrNull<Value: Encodable>: Encodable {
  let value: Value?

  init(_ value: Value?) { self.value = value }

  func encode(to encoder: any Encoder) throws {
    var container = encoder.singleValueContainer()
    if let value { try container.encode(value) } else { try container.encodeNil() }
  }
}

/// Prints a text or table; takes the place of the standard library's `print`, which loses text without a word.
func print(_ text: some CustomStringConvertible, terminator: String = "\n") throws(CommandError) {
  try StandardOutput.write(text.description + terminator)
}
