/// The published formulas for the time that a pipeline of equal stages loses (domain reference B5).
///
/// Symbols: `forward`, `input`, `weight` are a device's times for one micro-batch (all of its chunks).
package struct PipelineBubble: Hashable, Sendable {
  package let schedule: PipelineSchedule
  package let devices, microbatches: Int

  package init(_ schedule: PipelineSchedule, devices: Int, microbatches: Int) {
    self.schedule = schedule
    self.devices = devices
    self.microbatches = microbatches
  }

  /// Time lost a step. Sources: Narayanan et al. 2021, section 2.2 (AFAB, 1F1B, interleaved); Qi et al. 2023,
  /// table 2 (zero bubble); DeepSeek-AI 2024, table 2 (DualPipe), where joined passes take the sum of both.
  ///
  /// Zero bubble and DualPipe assume that no transfer takes time; H2 that a step may begin on the first device
  /// before the last one has ended the step before, and at least 2 devices - 1 micro-batches.
  package func time(forward: Double, input: Double, weight: Double) -> Double {
    let others = Double(devices - 1)
    let whole = forward + input + weight
    switch schedule {
    case .naive: return others * Double(microbatches) * whole
    case .allForwardAllBackward, .oneForwardOneBackward: return others * whole
    case .interleaved(let chunks, _): return others * whole / Double(chunks)
    case .zeroBubbleH1: return others * (forward + input - weight)
    case .zeroBubbleH2: return others * max(0, forward + input - 2 * weight)
    case .dualPipe: return Double(devices / 2 - 1) * (whole + input + weight - 3 * weight)
    }
  }

  /// Time lost over time that computing takes: (p - 1), (p - 1) / m or (p - 1) / (v m) where backward is whole.
  package func ratio(forward: Double, input: Double, weight: Double) -> Double {
    time(forward: forward, input: input, weight: weight)
      / (Double(microbatches) * (forward + input + weight))
  }
}
