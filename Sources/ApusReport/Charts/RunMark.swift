import ApusCore

/// How a run looks on the scatter of S1: marker size is throughput, colour is utilisation, each over the best run of
/// the same model.
package struct RunMark: Hashable, Sendable {
  /// Diameter in pixels: 5 + 20 tokens/s / best tokens/s; 5 for a failed run.
  package var size: Double
  /// Utilisation over the best, 0 to 1; nil for a failed run, which is drawn in grey.
  package var share: Double?
  /// The published labels, empty for a failed run.
  package var utilizationLabel: String
  package var speedLabel: String

  /// As CSS writes it.
  package var color: String { share.map(ChartColors.scale) ?? ChartColors.failed }

  /// The marks of all runs. Measured and simulated runs of a model are normalised together, so that equal marks mean
  /// equal speed.
  package static func marks(_ runs: [RunPoint]) -> [RunMark] {
    var fastest: [String: Double] = [:]
    var fullest: [String: Double] = [:]
    for run in runs where run.outcome == .finished {
      fastest[run.model] = max(fastest[run.model] ?? 0, run.tokensPerSecond)
      fullest[run.model] = max(fullest[run.model] ?? 0, run.utilization)
    }
    return runs.map { run in
      guard run.outcome == .finished, let best = fastest[run.model], best > 0 else {
        return RunMark(size: 5, share: nil, utilizationLabel: "", speedLabel: "")
      }
      let speed = run.tokensPerSecond / best
      let most = fullest[run.model] ?? 0
      return RunMark(
        size: 5 + 20 * speed, share: most > 0 ? run.utilization / most : 0,
        utilizationLabel: label(utilization: run.utilization), speedLabel: label(speed: speed))
    }
  }

  /// By percent of the peak: from 30, from 20, from 10, below.
  package static func label(utilization: Double) -> String {
    switch 100 * utilization {
    case 30...: "GPU GOES BRRRRRR!"
    case 20...: "GPU goes brr"
    case 10...: "GPU sipping coffee"
    default: "GPU taking a nap"
    }
  }

  /// By the share of the fastest run. The last cut lies between 0.842 and 0.86 in the published chart; 0.85 here.
  package static func label(speed: Double) -> String {
    switch speed {
    case ..<0.25: "meh..."
    case ..<0.5: "moar?"
    case ..<0.85: "MOAR!"
    default: "MOARRR!!!!"
    }
  }
}
