import ApusCore
import ApusForesight
import ApusTraining

/// A step foreseen beside the step measured, a line for each figure.
struct StepComparisonText {
  private let step: StepComparison

  init(_ step: StepComparison) { self.step = step }

  var text: String {
    guard let measured = step.measured else { return "" }
    return ([time(measured), memory(measured)] + sent(measured)).joined(separator: "\n") + "\n"
  }

  private func time(_ measured: StepMeasurement) -> String {
    let real = DurationWords.text(measured.stepSeconds)
    if let seconds = step.foreseen.stepSeconds, let error = step.error {
      var text = "step: \(DurationWords.text(seconds)) foreseen, \(real) measured (\(Self.signed(error)))"
      if let atSpeed = step.foreseenAtSpeed {
        let error = Self.signed(atSpeed / measured.stepSeconds - 1)
        text += "; at the speed that the machine had meanwhile \(DurationWords.text(atSpeed)) (\(error))"
      }
      return text
    }
    return "step: \(real) measured, not foreseen" + (step.foreseen.reason.map { ": \($0)" } ?? "")
  }

  private func memory(_ measured: StepMeasurement) -> String {
    let (planned, touched) = (step.foreseen.arenaBytes, measured.arenaBytes)
    return
      "memory of a rank: \(planned.grouped) bytes planned, \(touched.grouped) bytes touched; the whole process "
      + "\(ByteCount(measured.residentBytes)) at its peak"
  }

  private func sent(_ measured: StepMeasurement) -> [String] {
    Set(step.foreseen.sentBytes.keys).union(measured.sentBytes.keys).sorted().map { axis in
      let counted = Int(step.foreseen.sentBytes[axis] ?? 0)
      let real = Int(measured.sentBytes[axis] ?? 0)
      return "sent by a rank over the \(axis) axis in a step: \(counted.grouped) bytes foreseen, "
        + "\(real.grouped) measured"
    }
  }

  /// `+3.2 %`.
  static func signed(_ share: Double) -> String { (share > 0 ? "+" : "") + share.percent() }
}
