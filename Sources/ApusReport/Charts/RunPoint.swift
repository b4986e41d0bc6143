/// One run on a chart of many: what it reached, simulated or measured, and every field of its record for the reader
/// who points at it.
package struct RunPoint: Hashable, Sendable {
  package enum Outcome: String, Hashable, Sendable, CaseIterable {
    case finished
    /// Without a result, for whatever reason; `reason` says what is known.
    case failed
  }

  package enum Origin: String, Hashable, Sendable, CaseIterable { case measured, simulated }

  /// What numbers are normalised by and filtered by: runs of the same name belong together.
  package var model: String
  package var nodes: Int
  package var devices: Int
  package var origin: Origin
  package var outcome: Outcome
  /// Why a failed run has no result; empty where unknown.
  package var reason: String
  /// Of all devices together.
  package var tokensPerSecond: Double
  /// Share of the peak, 0 to 1.
  package var utilization: Double
  package var stepSeconds: Double?
  /// Peak of the fullest device, GiB.
  package var memoryGiB: Double?
  /// `dp 4 · tp 8 · pp 2`
  package var layout: String
  /// Micro-batch, accumulation and the like, in words.
  package var batch: String
  /// Index of the run's record in the chart's table of fields.
  package var record: Int

  package init(
    model: String, nodes: Int, devices: Int, origin: Origin, outcome: Outcome, reason: String = "",
    tokensPerSecond: Double = 0, utilization: Double = 0, stepSeconds: Double? = nil,
    memoryGiB: Double? = nil, layout: String = "", batch: String = "", record: Int
  ) {
    self.model = model
    self.nodes = nodes
    self.devices = devices
    self.origin = origin
    self.outcome = outcome
    self.reason = reason
    self.tokensPerSecond = tokensPerSecond
    self.utilization = utilization
    self.stepSeconds = stepSeconds
    self.memoryGiB = memoryGiB
    self.layout = layout
    self.batch = batch
    self.record = record
  }

  package var tokensPerSecondPerDevice: Double { tokensPerSecond / Double(max(1, devices)) }
}
