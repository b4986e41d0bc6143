import ApusCore
import ApusModels

/// One row of a table of runs, read: what is predicted from, what was measured, and what was assumed.
///
/// `job` depends on neither `set`, `row_id`, `model_name` nor any measured column (a test blanks them).
package struct PublishedRow: Sendable {
  package var set: String
  package var identifier: String
  package var modelName: String
  package var track: String
  package var failed: Bool
  package var scoresTime: Bool
  package var scoresMemory: Bool
  /// nil where the row lacks model shape, batch or layout; `problem` says what.
  package var job: TrainingJob?
  package var problem: String?
  /// Fields that were blank and what was taken instead, `field=value`.
  package var defaults: [String]
  package var measuredSeconds: Double?
  package var measuredTokens: Double?
  package var measuredMemory: Double?
  /// Measured fields that say something else than a number, `field "text"`.
  package var unread: [String]
  package var memoryKind: MemoryKind
  /// Rows of one comparison: the same set, model, devices, sequence length and global batch.
  package var group: String

  /// What a published memory figure means.
  package enum MemoryKind: String, Hashable, Sendable, CaseIterable {
    /// Peak of the tensors that the allocator handed out.
    case allocated
    /// Peak of what the allocator holds.
    case reserved
    /// What a device monitor shows, context and communicators included.
    case device

    init(_ text: String) {
      let text = text.lowercased()
      self =
        text.contains("nvidia-smi") || text.contains("max on") || text.contains("monitor")
        ? .device : text.contains("reserved,") || text.hasSuffix("reserved") ? .reserved : .allocated
    }
  }

  /// Reads the row with the hardware that it names.
  package init(_ table: CSVTable, _ row: CSVTable.Row, _ catalogue: HardwareCatalogue) {
    var fields = RowFields(table: table, row: row)
    set = fields.text("set")
    identifier = fields.text("row_id")
    modelName = fields.text("model_name")
    track = fields.text("track")
    failed = !["ok", ""].contains(fields.text("status"))
    scoresTime = fields.text("score_time") != "0"
    scoresMemory = fields.text("score_mem") != "0"
    measuredSeconds = fields.positive("step_time_s")
    measuredTokens = fields.positive("tokens_per_s_per_gpu")
    measuredMemory = fields.positive("peak_memory_gb")
    // Of a run that failed, words such as `>32 OOM` are what there is to say.
    unread = failed ? [] : fields.unread(["step_time_s", "tokens_per_s_per_gpu", "peak_memory_gb"])
    memoryKind = MemoryKind(fields.text("memory_kind"))
    group = ["set", "model_name", "gpus", "seq_len", "global_batch_seqs"].map(fields.text).joined(
      separator: "\u{1F}")
    do {
      job = try RowReading.job(&fields, catalogue)
    } catch {
      problem = error.description
    }
    defaults = fields.defaults
    if measuredSeconds == nil, let tokens = measuredTokens, let job {
      measuredSeconds = Double(job.tokensPerStep) / tokens / Double(job.layout.worldSize)
    }
  }
}

/// Access to a row's fields that remembers which were blank.
struct RowFields {
  let table: CSVTable
  let row: CSVTable.Row
  private(set) var defaults: [String] = []

  /// What keeps a row from being predicted.
  struct Missing: Error, CustomStringConvertible {
    var description: String
  }

  init(table: CSVTable, row: CSVTable.Row) {
    self.table = table
    self.row = row
  }

  func text(_ column: String) -> String { table.field(column, of: row) }

  /// A finite number above 0; nil where the field is blank or none.
  func positive(_ column: String) -> Double? {
    guard let value = Double(text(column)), value.isFinite, value > 0 else { return nil }
    return value
  }

  /// Those of the columns that hold something else than a number above 0, with what they hold.
  func unread(_ columns: [String]) -> [String] {
    columns.compactMap { column in
      let text = text(column)
      return text.isEmpty || positive(column) != nil ? nil : "\(column) is \"\(text)\", no number above 0"
    }
  }

  /// The largest counts that are read: beyond what anybody trains, and such that no product of them overflows.
  private static func limit(_ column: String) -> Int {
    switch column {
    case "hidden", "gpus": 1 << 20
    case "ffn_hidden": 1 << 23
    case "vocab", "seq_len": 1 << 27
    case "global_batch_seqs": 1 << 30
    case "layers", "heads", "kv_heads", "experts": 1 << 14
    case "tp", "pp", "cp", "vpp": 1 << 10
    default: 1 << 20
    }
  }

  /// A whole number above 0, also written as `64.0`.
  func count(_ column: String) throws(Missing) -> Int? {
    let text = text(column)
    if text.isEmpty { return nil }
    guard let value = Double(text), let whole = Int(exactly: value), whole > 0 else {
      throw Missing(description: "\(column) is \"\(text)\", no whole number above 0")
    }
    let limit = Self.limit(column)
    guard whole <= limit else {
      throw Missing(description: "\(column) is \(text), more than the \(limit) that can be foreseen")
    }
    return whole
  }

  func needed(_ column: String) throws(Missing) -> Int {
    guard let value = try count(column) else {
      throw Missing(
        description: table.has(column) ? "\(column) is blank" : "the table has no column \(column)")
    }
    return value
  }

  /// The count, or a default that is noted.
  mutating func count(_ column: String, default value: Int) throws(Missing) -> Int {
    if let written = try count(column) { return written }
    note(column, "\(value)")
    return value
  }

  mutating func note(_ column: String, _ value: String) { defaults.append("\(column)=\(value)") }
}
