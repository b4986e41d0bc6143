import ApusCore
import Foundation

/// The text of a step, every number under its name and in its column, so that lines of a log stand
/// under each other and a word finds the same number in each.
package struct StepLine: Sendable {
  package let stepCount: Int

  /// - Parameter stepCount: steps of the whole run.
  package init(stepCount: Int) { self.stepCount = stepCount }

  /// All numbers of the step on one line; MFU only where it is known.
  package func text(_ record: StepRecord) -> String {
    var parts = [
      "step \(position(record.step))",
      "loss \(record.loss.formatted(decimals: 4).padded(left: 8))",
      "grad norm \(Self.compact(record.gradientNorm).padded(left: 7))",
      "lr \(Self.learningRate(record.learningRate))",
      "\(Self.rate(record.tokensPerSecond).padded(left: 9)) tok/s",
      "\(Self.rate(record.tokensPerSecondPerRank).padded(left: 9)) tok/s/rank",
    ]
    if let scale = record.lossScale {
      parts.append(
        "scale \(Self.compact(scale).padded(left: 7)), \(record.skippedSteps ?? 0) skipped")
    }
    if let tokens = record.noiseScaleTokens {
      parts.append("noise scale \(HTMLReport.short(tokens).padded(left: 5)) tok")
    }
    if let utilization = record.modelFLOPsUtilization {
      parts.append("MFU \((utilization * 100).formatted(decimals: 1).padded(left: 4)) %")
    }
    parts += [
      "step time \(Self.seconds(record.stepSeconds).padded(left: 8))",
      "peak memory \(ByteCount(record.peakMemoryBytes).description.padded(left: 10))",
      "data wait \(Self.seconds(record.dataWaitSeconds).padded(left: 8))",
      "left \(record.secondsLeft.durationText.padded(left: 7))",
    ]
    for axis in record.communication ?? [] {
      parts.append(
        "\(axis.axis): exposed \(Self.seconds(axis.exposedSeconds).padded(left: 8)) hidden "
          + Self.seconds(axis.hiddenSeconds).padded(left: 8))
    }
    return parts.joined(separator: "  ")
  }

  /// What a validation found, as a line of its own; `nil` where the step did not validate.
  package func validationText(_ record: StepRecord) -> String? {
    guard let loss = record.validationLoss else { return nil }
    var text = "step \(position(record.step))  validation loss \(loss.formatted(decimals: 4))"
    if let bits = record.validationBitsPerByte {
      text += "  bits per byte \(bits.formatted(decimals: 4))"
    }
    return text
  }

  /// `  12/5000`, always of one width.
  func position(_ step: Int) -> String {
    let count = String(stepCount)
    return "\(String(step).padded(left: count.count))/\(count)"
  }

  static func rate(_ perSecond: Double) -> String {
    guard perSecond.isFinite, perSecond.magnitude < 1e15 else { return "-" }
    return perSecond < 99.95 ? perSecond.formatted(decimals: 1) : Int(perSecond.rounded()).grouped
  }

  /// A learning rate as `3.00e-04`.
  static func learningRate(_ value: Double) -> String { String(format: "%.2e", value) }

  /// Three decimals, or the exponent form where they would not fit the column.
  static func compact(_ value: Double) -> String {
    value.isFinite && (value.magnitude >= 1000 || (value != 0 && value.magnitude < 0.0005))
      ? String(format: "%.1e", value) : value.formatted(decimals: 3)
  }

  static func seconds(_ value: Double) -> String {
    value < 0.9995 ? "\((value * 1000).formatted(decimals: 1)) ms" : "\(value.formatted(decimals: 2)) s"
  }
}
