import ApusCore
import ApusReport
import Foundation

/// One line on a terminal's standard error that tells how far a known number of bytes has come; elsewhere
/// nothing. The line is wiped when this goes, so that an error message stands alone.
final class ByteProgress {
  private let total: Int
  private let isShown: Bool
  private let start = ContinuousClock.now
  private var lastDrawn: ContinuousClock.Instant?

  /// Whether there is a terminal to draw on.
  static var isWanted: Bool { Display.detect(descriptor: 2) != .plain }

  /// - Parameter total: bytes of the whole work; 0 where nobody looks.
  init(total: Int) {
    self.total = total
    isShown = total > 0 && Self.isWanted
  }

  deinit { if lastDrawn != nil { draw("") } }

  /// Shows that `done` bytes are behind us, at most ten times a second.
  func show(_ done: Int) {
    let now = ContinuousClock.now
    if !isShown { return }
    if let lastDrawn, now - lastDrawn < .milliseconds(100) { return }
    lastDrawn = now
    let seconds = max(1e-3, (now - start) / .seconds(1))
    let rate = Double(done) / seconds
    let left = rate > 0 ? Double(total - done) / rate : -1
    draw(
      "\(100 * done / total)% of \(ByteCount(total))  \(ByteCount(Int(rate)))/s  left \(left.durationText)")
  }

  private func draw(_ text: String) {
    // Nothing depends on this line: where it cannot be written the work goes on.
    try? FileHandle.standardError.write(contentsOf: Data("\r\(text)\u{1B}[K".utf8))
  }
}
