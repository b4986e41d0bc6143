import ApusCore

extension HTMLReport {
  /// The numbers that one wants first.
  var tiles: String {
    var tiles = [Tile("Parameters", Self.short(Double(run.parameterCount)), run.parameterCount.grouped)]
    if let last = records.last {
      tiles.append(Tile("Tokens", Self.short(Double(last.tokensSeen)), "\(last.step.grouped) steps"))
      tiles.append(Tile("Final training loss", last.loss.formatted(decimals: 3), "nats per token"))
    }
    if let validated = records.last(where: { $0.validationLoss != nil }) {
      let at = "step \(validated.step.grouped)"
      tiles.append(Tile("Validation loss", validated.validationLoss?.formatted(decimals: 3) ?? "", at))
      if let bits = validated.validationBitsPerByte {
        tiles.append(Tile("Bits per byte", bits.formatted(decimals: 3), "validation, \(at)"))
      }
    }
    if let noise = records.last(where: { $0.noiseScaleTokens != nil })?.noiseScaleTokens {
      tiles.append(Tile("Critical batch", Self.short(noise), "tokens, the gradient noise scale"))
    }
    if let rate = Self.median(records.map(\.tokensPerSecond)) {
      tiles.append(Tile("Tokens per second", Self.short(rate), "median"))
    }
    if let utilization = Self.median(records.compactMap(\.modelFLOPsUtilization)) {
      let percent = (utilization * 100).formatted(decimals: 1)
      tiles.append(Tile("MFU", "\(percent) %", "of the peak, median"))
    }
    if let peak = records.map(\.peakMemoryBytes).max() {
      tiles.append(Tile("Peak memory", ByteCount(peak).description, "of a rank"))
    }
    let seconds = records.reduce(0) { $0 + $1.stepSeconds }
    if seconds > 0 { tiles.append(Tile("Time in steps", seconds.durationText, "start and pauses left out")) }
    return "<section class=\"tiles\">\n" + tiles.map(\.html).joined(separator: "\n") + "\n</section>"
  }

  private struct Tile {
    let title, value, detail: String

    init(_ title: String, _ value: String, _ detail: String) {
      self.title = title
      self.value = value
      self.detail = detail
    }

    var html: String {
      "<div class=\"tile\"><h3>\(title.escapedForHTML)</h3><p>\(value.escapedForHTML)</p>"
        + "<small>\(detail.escapedForHTML)</small></div>"
    }
  }

  /// Three digits and a letter: `124M`, `1.24B`, `12.3k`.
  package static func short(_ value: Double) -> String {
    for (limit, letter) in [(1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k")] where value >= limit * 0.9995 {
      let scaled = value / limit
      return scaled.formatted(decimals: scaled < 9.995 ? 2 : scaled < 99.95 ? 1 : 0) + letter
    }
    return value.formatted(decimals: value < 99.95 ? 1 : 0)
  }

  static func median(_ values: [Double]) -> Double? {
    let sorted = values.filter(\.isFinite).sorted()
    return sorted.isEmpty ? nil : sorted[sorted.count / 2]
  }
}
