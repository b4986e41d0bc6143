import Foundation

/// What a file descriptor shows its text on.
package enum Display: Equatable, Sendable {
  /// A file or a pipe: plain lines.
  case plain
  /// A terminal so many characters wide: one line may be redrawn, and colours are fine.
  case terminal(columnCount: Int)

  /// Asks the system; a terminal that does not know its width counts as 80 columns.
  package static func detect(descriptor: Int32) -> Display {
    guard isatty(descriptor) == 1 else { return .plain }
    var size = winsize()
    guard ioctl(descriptor, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0 else {
      return .terminal(columnCount: 80)
    }
    return .terminal(columnCount: Int(size.ws_col))
  }
}
