/// The dynamic factor of an fp16 run's loss (Micikevicius et al. 2018, section 3.2): large enough that small
/// gradients stay above float16's smallest number, halved when one overflows, doubled after a while without.
package struct LossScale: Hashable, Sendable, Codable {
  /// A power of two, so that scaling and unscaling are exact.
  package private(set) var value: Double
  /// Updates since the last overflow or doubling.
  package private(set) var goodSteps: Int
  /// Steps of the run whose update was skipped.
  package private(set) var skippedSteps: Int

  package static let initial = 65_536.0
  /// At this scale an overflow is not the scale's fault: the numbers themselves are not finite.
  package static let smallest = 1.0
  /// Beyond it, sums of gradients in float32 could overflow.
  package static let largest = 0x1p24
  /// Updates without overflow before the scale doubles.
  package static let patience = 2000

  package init(_ value: Double = Self.initial) { (self.value, goodSteps, skippedSteps) = (value, 0, 0) }

  /// Whether a smaller scale is left to try.
  package var canShrink: Bool { value > Self.smallest }

  /// Records a step whose gradients overflowed and whose update was skipped.
  package mutating func overflowed() {
    value = max(Self.smallest, value / 2)
    goodSteps = 0
    skippedSteps += 1
  }

  /// Records an update.
  package mutating func succeeded() {
    goodSteps += 1
    guard goodSteps == Self.patience else { return }
    value = min(Self.largest, value * 2)
    goodSteps = 0
  }

  /// Records what a step came to.
  package mutating func record(_ outcome: StepOutcome) {
    if outcome.isSkipped { overflowed() } else { succeeded() }
  }
}
