import ApusCore
import ApusForesight
import ApusModels
import ApusReport
import Foundation

/// Reads tables of runs into points of a chart. Columns are those of published tables and of `apus sweep`: a row with
/// `predicted_` columns gives a simulated point, a row with measurements a measured one, a row with both two.
struct RunTable {
  private(set) var runs: [RunPoint] = []
  private(set) var columns: [String] = []
  private(set) var records: [[String]] = []
  /// Rows that give no point, by reason.
  private(set) var skipped: [String: Int] = [:]
  private let catalogue: HardwareCatalogue

  init(_ catalogue: HardwareCatalogue) { self.catalogue = catalogue }

  /// Adds a table. Tables with other columns than the first are brought to its columns and those they add.
  mutating func add(_ table: CSVTable) {
    for column in table.columns where !columns.contains(column) { columns.append(column) }
    for row in table.rows {
      let record = records.count
      let points = points(of: row, in: table, record: record)
      guard !points.isEmpty else { continue }
      records.append(columns.map { table.field($0, of: row) })
      runs += points
    }
    for index in records.indices where records[index].count < columns.count {
      records[index] += Array(repeating: "", count: columns.count - records[index].count)
    }
  }

  private mutating func points(of row: CSVTable.Row, in table: CSVTable, record: Int) -> [RunPoint] {
    let fields = Fields(table: table, row: row)
    guard let devices = fields.count("gpus") else {
      skipped["no number of gpus", default: 0] += 1
      return []
    }
    let perNode = fields.count("gpus_per_node") ?? catalogue.named(fields.text("gpu"))?.devicesPerNode ?? 8
    let published = PublishedRow(table, row, catalogue)
    var base = RunPoint(
      model: fields.model, nodes: (devices + perNode - 1) / perNode, devices: devices, origin: .measured,
      outcome: .failed, layout: fields.layout, batch: fields.batch, record: record)
    var points: [RunPoint] = []
    let status = fields.text("status")
    let isSimulation = fields.text("kind") == "simulated"
    if !isSimulation, let point = measured(&base, fields, published, status) { points.append(point) }
    if let point = simulated(base, fields, published) { points.append(point) }
    if points.isEmpty { skipped["neither throughput nor step time", default: 0] += 1 }
    return points
  }

  private func measured(
    _ base: inout RunPoint, _ fields: Fields, _ published: PublishedRow, _ status: String
  ) -> RunPoint? {
    var point = base
    if !status.isEmpty, status != "ok" {
      point.reason = status == "failed" ? "" : status
      return point
    }
    point.memoryGiB = fields.number("peak_memory_gb")
    return finish(
      &point, tokens: fields.number("tokens_per_s_per_gpu"), seconds: fields.number("step_time_s"),
      percent: fields.number("mfu_percent"), fields, published)
  }

  private func simulated(_ base: RunPoint, _ fields: Fields, _ published: PublishedRow) -> RunPoint? {
    var point = base
    point.origin = .simulated
    let fits = fields.text("predicted_status")
    if !fits.isEmpty, fits != "ok" {
      point.reason = fields.text("reason").isEmpty ? fits : fields.text("reason")
      return point
    }
    point.memoryGiB = fields.number("predicted_memory_gib")
    return finish(
      &point, tokens: fields.number("predicted_tokens_per_s_per_gpu"),
      seconds: fields.number("predicted_step_time_s"), percent: fields.number("predicted_mfu_percent"),
      fields, published)
  }

  /// Fills in what a finished run reached, nil where the row does not say.
  private func finish(
    _ point: inout RunPoint, tokens: Double?, seconds: Double?, percent: Double?, _ fields: Fields,
    _ published: PublishedRow
  ) -> RunPoint? {
    let sequence = fields.number("seq_len") ?? 0
    let step = (fields.number("global_batch_seqs") ?? 0) * sequence
    let devices = Double(point.devices)
    guard let perDevice = tokens ?? seconds.flatMap({ step > 0 && $0 > 0 ? step / $0 / devices : nil }),
      perDevice > 0
    else { return nil }
    point.outcome = .finished
    point.tokensPerSecond = perDevice * devices
    point.stepSeconds = seconds ?? (step > 0 ? step / point.tokensPerSecond : nil)
    point.utilization = percent.map { $0 / 100 } ?? Self.utilization(perDevice, published)
    return point
  }

  /// As the published campaign counts it: embedding and head apart, attention in full (domain reference B7).
  private static func utilization(_ tokensPerSecond: Double, _ published: PublishedRow) -> Double {
    guard let job = published.job else { return 0 }
    let flops = ModelFLOPs(job.model, sequenceLength: job.sequenceLength, counting: .embeddingAndHeadApart)
    return flops.utilization(
      tokensPerSecond: tokensPerSecond, peakFLOPsPerSecond: job.hardware.peak(job.numbers.product), .full)
  }

  /// Access to a row's fields.
  private struct Fields {
    let table: CSVTable
    let row: CSVTable.Row

    func text(_ column: String) -> String { table.field(column, of: row) }

    func number(_ column: String) -> Double? {
      Double(text(column)).flatMap { $0.isFinite ? $0 : nil }
    }

    func count(_ column: String) -> Int? {
      number(column).flatMap { $0 >= 1 && $0 < 1e9 ? Int($0) : nil }
    }

    var model: String {
      let name = text("model_name")
      if !name.isEmpty { return name }
      return number("params_b").map { "\($0.formatted(decimals: 2))B" } ?? "unnamed"
    }

    /// Degrees above one, data always.
    var layout: String {
      var parts = ["dp \(text("dp").isEmpty ? "?" : text("dp"))"]
      for axis in ["tp", "cp", "pp", "ep"] {
        if let degree = count(axis), degree > 1 { parts.append("\(axis) \(degree)") }
      }
      return parts.joined(separator: " · ")
    }

    var batch: String {
      var parts: [String] = []
      if let accumulation = count("grad_accum") { parts.append("ga \(accumulation)") }
      if let size = count("micro_batch") { parts.append("mbs \(size)") }
      if let stage = text("zero_stage").first?.wholeNumberValue { parts.append("Z\(stage)") }
      if ["full", "selective"].contains(text("recompute")) { parts.append(text("recompute")) }
      let schedule = text("pp_schedule").lowercased()
      if !schedule.isEmpty, schedule != "1f1b" { parts.append(schedule) }
      return parts.joined(separator: " · ")
    }
  }
}
