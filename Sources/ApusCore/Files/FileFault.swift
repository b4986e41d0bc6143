import Foundation

/// What the operating system refused to do with a file, for the error of the target that asked.
package struct FileFault: Error, Hashable, CustomStringConvertible {
  /// What was tried: `open`, `map`.
  package let action: String
  package let path: String
  /// The system's words, or ours where it had none.
  package let reason: String
  /// The call's `errno`; 0 where no call failed.
  package let code: Int32

  package init(_ action: String, _ path: String, code: Int32) {
    self.init(action, path, reason: String(cString: strerror(code)), code: code)
  }

  package init(_ action: String, _ path: String, reason: String, code: Int32 = 0) {
    (self.action, self.path, self.reason, self.code) = (action, path, reason, code)
  }

  package var description: String { "cannot \(action) \(path): \(reason)" }
}
