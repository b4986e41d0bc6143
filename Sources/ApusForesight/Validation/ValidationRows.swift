import ApusCore

extension ValidationReport {
  /// One line a row: what was predicted and measured, and where the predicted time goes.
  package var rowsCSV: String {
    var text = CSVTable.line([
      "row_id", "set", "track", "status", "model_name", "skipped", "defaults", "measured_step_time_s",
      "predicted_step_time_s", "ratio", "measured_memory_gib", "predicted_memory_gib", "memory_kind",
      "fits", "device_gib", "compute_s", "host_s", "bubble_s", "exposed_tensor_s", "exposed_context_s",
      "exposed_expert_s", "exposed_data_s", "optimizer_s", "mfu_causal", "mfu_full", "parameters_gib",
      "gradients_gib", "optimizer_gib", "activations_gib", "temporary_gib", "fullest_stage",
    ])
    for outcome in outcomes {
      let row = outcome.row
      var fields = [
        row.identifier, row.set, row.track, row.failed ? "failed" : "ok", row.modelName, row.problem ?? "",
        row.defaults.joined(separator: " "), Self.text(row.measuredSeconds),
      ]
      if let f = outcome.forecast {
        let ratio = row.measuredSeconds.map { f.stepSeconds / $0 }
        fields += [
          Self.text(f.stepSeconds), Self.text(ratio), Self.text(row.measuredMemory),
          Self.text(outcome.predictedMemory), row.memoryKind.rawValue, f.memory.fits ? "1" : "0",
          Self.text(f.memory.devicePeak / 0x1p30), Self.text(f.computeSeconds), Self.text(f.hostSeconds),
          Self.text(f.bubbleSeconds),
        ]
        fields += [CommunicationAxis.tensor, .context, .expert, .data].map {
          Self.text(f.exposed[$0] ?? 0)
        }
        fields += [f.optimizerSeconds, f.utilizationCausal, f.utilizationFull].map { Self.text($0) }
        let memory = f.memory
        fields += [
          memory.parameters, memory.gradients, memory.optimizer, memory.activations, memory.temporary,
        ].map { Self.text($0 / 0x1p30) }
        fields.append("\(memory.stage)")
      } else {
        fields += [String](repeating: "", count: 23)
      }
      text += CSVTable.line(fields)
    }
    return text
  }

  /// Six significant digits; nothing for nothing.
  private static func text(_ value: Double?) -> String {
    guard let value, value.isFinite else { return "" }
    let magnitude = value == 0 ? 0 : Int(logarithm(abs(value)) / 2.302585)
    return value.formatted(decimals: max(0, min(9, 5 - magnitude)))
  }
}
