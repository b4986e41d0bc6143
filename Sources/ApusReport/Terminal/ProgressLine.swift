import ApusCore

/// Shows how a run is getting on: on a terminal one redrawn line with a bar, elsewhere plain lines.
///
/// It writes past any buffer, so a pipe's reader sees each line at once. It never stops a run: when the
/// reader has gone, or the disk behind a redirection is full, it falls silent and keeps the reason.
package struct ProgressLine: ~Copyable {
  /// Why it fell silent: an `errno`, `EPIPE` when the reader has gone.
  package private(set) var failure: Int32?

  private let descriptor: Int32
  private let givenDisplay: Display?
  private let bar: ProgressBar
  private let logEvery: Int
  private let redrawInterval: Duration
  private var lastDrawn: ContinuousClock.Instant?
  private var lastRecord: StepRecord?
  private var barIsShown = false
  private var lastRecordHasLine = false

  /// - Parameters:
  ///   - descriptor: 1, the standard output, or 2, the standard error, as a rule.
  ///   - stepCount: steps of the whole run.
  ///   - logEvery: plain lines only at multiples of it, at the first step shown, at the last step and
  ///     at steps that validate.
  ///   - display: found out where it is not given.
  ///   - redrawInterval: a terminal's line is not redrawn more often.
  package init(
    descriptor: Int32 = 1, stepCount: Int, logEvery: Int = 1, display: Display? = nil,
    redrawInterval: Duration = .milliseconds(50)
  ) {
    self.descriptor = descriptor
    self.bar = ProgressBar(line: StepLine(stepCount: stepCount))
    self.logEvery = max(1, logEvery)
    self.givenDisplay = display
    self.redrawInterval = redrawInterval
  }

  /// Shows a finished step.
  package mutating func show(_ record: StepRecord) {
    let isFirst = lastRecord == nil
    lastRecord = record
    lastRecordHasLine = false
    let isLast = record.step >= bar.line.stepCount
    let validation = bar.line.validationText(record)
    switch display {
    case .plain:
      if isFirst || isLast || validation != nil || record.step.isMultiple(of: logEvery) {
        printFullLine(record)
      }
      if let validation { write(validation + "\n") }
    case .terminal:
      if let validation {
        printFullLine(record)
        note(validation)
      } else {
        drawBar(atOnce: isFirst || isLast)
      }
    }
  }

  /// A line of its own, as for a validation or a checkpoint; a bar stays below it.
  package mutating func note(_ text: String) {
    write(clearing + text + "\n")
    if barIsShown {
      barIsShown = false
      drawBar(atOnce: true)
    }
  }

  /// Ends the display: a terminal keeps the last step's numbers, and the cursor is on a fresh line.
  package mutating func finish() {
    guard case .terminal = display, let lastRecord else { return }
    if lastRecordHasLine { write(clearing) } else { printFullLine(lastRecord) }
    barIsShown = false
    self.lastRecord = nil
  }

  /// A terminal may have been resized since the last line.
  private var display: Display { givenDisplay ?? .detect(descriptor: descriptor) }

  private var clearing: String { barIsShown ? "\r\u{1B}[K" : "" }

  private mutating func printFullLine(_ record: StepRecord) {
    write(clearing + bar.line.text(record) + "\n")
    lastRecordHasLine = true
  }

  private mutating func drawBar(atOnce: Bool) {
    guard case .terminal(let columnCount) = display, let lastRecord else { return }
    let now = ContinuousClock.now
    if !atOnce, let lastDrawn, now - lastDrawn < redrawInterval { return }
    lastDrawn = now
    // One column is left free: some terminals wrap when the last one is written.
    write("\r" + bar.text(lastRecord, columnCount: max(1, columnCount - 1)) + "\u{1B}[K")
    barIsShown = true
  }

  private mutating func write(_ text: String) {
    guard failure == nil else { return }
    let code = Array(text.utf8).withUnsafeBytes { writeAll($0, to: descriptor) }
    if code != 0 { failure = code }
  }
}
