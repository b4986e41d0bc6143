import ApusCore

/// The one line that a terminal redraws: a bar, and as many numbers as the width holds.
package struct ProgressBar: Sendable {
  let line: StepLine

  package init(line: StepLine) { self.line = line }

  /// At most `columnCount` characters, colour codes not counted.
  package func text(_ record: StepRecord, columnCount: Int) -> String {
    let fraction = min(1, max(0, Double(record.step) / Double(max(1, line.stepCount))))
    let percent = "\(Int(fraction * 100))%".padded(left: 4)
    // In the order in which they are worth their room.
    var numbers = [
      "\(percent) \(line.position(record.step))",
      "loss \(record.loss.formatted(decimals: 4))",
      "\(StepLine.rate(record.tokensPerSecond)) tok/s",
      "left \(record.secondsLeft.durationText)",
    ]
    if let utilization = record.modelFLOPsUtilization {
      numbers.append("MFU \((utilization * 100).formatted(decimals: 1)) %")
    }
    numbers += [
      "lr \(StepLine.learningRate(record.learningRate))",
      "norm \(StepLine.compact(record.gradientNorm))",
      "\(ByteCount(record.peakMemoryBytes))",
    ]
    let shortestBar = 12
    var text = ""
    for number in numbers {
      let longer = text + (text.isEmpty ? "" : "  ") + number
      // The first number stands without a bar if it must; the others leave room for one.
      let room = text.isEmpty ? columnCount : columnCount - shortestBar - 1
      if longer.displayWidth > room { break }
      text = longer
    }
    guard !text.isEmpty else { return String(percent.trimmingPrefix { $0 == " " }.prefix(columnCount)) }
    let barWidth = min(32, columnCount - text.displayWidth - 1)
    return barWidth >= 5 ? "\(Self.bar(fraction, width: barWidth)) \(text)" : text
  }

  /// `[=====>    ]`, the filled part green.
  private static func bar(_ fraction: Double, width: Int) -> String {
    let inner = width - 2
    let filled = Int(fraction * Double(inner))
    let done = String(repeating: "=", count: filled) + (filled < inner ? ">" : "")
    let open = String(repeating: " ", count: inner - done.count)
    return "[\u{1B}[32m\(done)\u{1B}[0m\(open)]"
  }
}
