import ApusCore

/// Records of a sweep as a table: the columns of published tables, so that `apus validate` and `apus chart` read it,
/// then what a sweep adds.
package enum SweepTable {
  /// What defines a run, in the order of published tables.
  private static let settings = [
    "gpu", "gpus", "gpus_per_node", "interconnect", "model_name", "params_b", "hidden", "layers", "heads",
    "kv_heads", "ffn_hidden", "mlp", "vocab", "tied_embed", "seq_len", "global_batch_seqs", "micro_batch",
    "grad_accum", "dp", "zero_stage", "tp", "sp", "pp", "pp_schedule", "vpp", "cp", "ep", "recompute",
    "precision", "flash_attention",
  ]

  private static let columns =
    ["row_id", "set", "status"] + settings
    + [
      "tokens_per_s_per_gpu", "step_time_s", "peak_memory_gb", "memory_kind", "quality", "track",
      "score_time",
      "score_mem", "kind", "mfu_percent", "predicted_status", "predicted_step_time_s",
      "predicted_tokens_per_s_per_gpu", "predicted_mfu_percent", "predicted_memory_gib", "reason",
      "wall_seconds", "stack", "settings", "planned_bytes", "touched_bytes", "resident_bytes",
      "predicted_sent_bytes", "sent_bytes",
      "predicted_step_time_at_speed_s",
    ]

  /// - Parameter name: the sweep's, which becomes the rows' set.
  package static func csv(_ records: [SweepRecord], name: String) -> String {
    var text = CSVTable.line(columns)
    for record in records { text += CSVTable.line(fields(of: record, name)) }
    return text
  }

  private static func fields(of record: SweepRecord, _ name: String) -> [String] {
    let isReal = record.kind == .measured
    var values = record.fields
    values["row_id"] = record.hash
    values["set"] = name
    values["status"] = isReal ? record.status?.rawValue ?? "" : ""
    values["kind"] = record.kind.rawValue
    if let measured = record.measured {
      values["tokens_per_s_per_gpu"] = text(measured.tokensPerSecondPerDevice)
      values["step_time_s"] = text(measured.stepSeconds)
      values["peak_memory_gb"] = text(measured.peakBytes / 0x1p30)
      values["memory_kind"] = "touched of the plan, GiB"
      values["touched_bytes"] = String(Int(measured.peakBytes))
      values["sent_bytes"] = sent(measured)
      values["mfu_percent"] = text(100 * measured.utilization)
    }
    if let predicted = record.predicted {
      values["predicted_step_time_s"] = text(predicted.stepSeconds)
      values["predicted_tokens_per_s_per_gpu"] = text(predicted.tokensPerSecondPerDevice)
      values["predicted_mfu_percent"] = text(100 * predicted.utilization)
      values["predicted_memory_gib"] = text(predicted.peakBytes / 0x1p30)
      if isReal {
        values["planned_bytes"] = String(Int(predicted.peakBytes))
        values["predicted_sent_bytes"] = sent(predicted)
      }
    }
    values["predicted_step_time_at_speed_s"] = record.foreseenAtSpeed.map(text) ?? ""
    values["predicted_status"] = record.predictedStatus?.rawValue ?? ""
    values["reason"] = record.reason
    values["resident_bytes"] = record.residentBytes.map(String.init) ?? ""
    values["wall_seconds"] = record.seconds.map(text) ?? ""
    values["score_time"] = record.measured != nil ? "1" : "0"
    values["score_mem"] = "0"
    return columns.map { values[$0] ?? "" }
  }

  /// Bytes by axis: `data 1048576`.
  private static func sent(_ result: SweepRecord.Result) -> String {
    (result.sentBytes ?? [:]).sorted { $0.key < $1.key }.map { "\($0.key) \(Int($0.value))" }
      .joined(separator: ", ")
  }

  /// Six significant digits.
  private static func text(_ value: Double) -> String {
    guard value.isFinite, value != 0 else { return value == 0 ? "0" : "" }
    var decimals = 5
    var magnitude = abs(value)
    while magnitude >= 10, decimals > 0 {
      magnitude /= 10
      decimals -= 1
    }
    while magnitude < 1, decimals < 12 {
      magnitude *= 10
      decimals += 1
    }
    return value.formatted(decimals: decimals)
  }
}
