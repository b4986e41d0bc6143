import ApusForesight
import Foundation
import Testing

@Suite struct ValidationTests {
  static let fixture = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
    .appendingPathComponent("Fixtures/runs.csv")

  private func table() throws -> CSVTable {
    try CSVTable(try String(contentsOf: Self.fixture, encoding: .utf8), name: "runs.csv")
  }

  private func report(_ table: CSVTable) throws -> ValidationReport {
    ValidationReport(table, try .shipped(), CostConstants())
  }

  /// The table with every field of some columns replaced.
  private func replacing(_ columns: [String], by value: String, in table: CSVTable) throws -> CSVTable {
    var text = CSVTable.line(table.columns)
    for row in table.rows {
      text += CSVTable.line(
        table.columns.map { columns.contains($0) ? value : table.field($0, of: row) })
    }
    return try CSVTable(text, name: "changed.csv")
  }

  @Test func predictionsReadNoNameAndNothingMeasured() throws {
    let table = try table()
    let whole = try report(table).outcomes.map(\.forecast)
    let blank = try replacing(
      [
        "set", "row_id", "model_name", "status", "tokens_per_s_per_gpu", "step_time_s", "peak_memory_gb",
        "memory_kind", "quality", "track", "score_time", "score_mem",
      ], by: "", in: table)
    #expect(try report(blank).outcomes.map(\.forecast) == whole)
    #expect(whole.count > 30 && whole.allSatisfy { $0 != nil })
  }

  @Test func blankOptionalFieldsTakeDefaultsThatAreListed() throws {
    let optional = [
      "interconnect", "kv_heads", "mlp", "tied_embed", "micro_batch", "zero_stage", "sp", "pp_schedule",
      "vpp",
      "recompute", "precision", "flash_attention", "gpus_per_node",
    ]
    let outcomes = try report(try replacing(optional, by: "", in: try table())).outcomes
    for outcome in outcomes {
      #expect(outcome.forecast != nil, "\(outcome.row.problem ?? "")")
      for field in ["interconnect", "zero_stage", "sp", "recompute", "precision", "flash_attention"] {
        #expect(outcome.row.defaults.contains { $0.hasPrefix("\(field)=") })
      }
    }
  }

  @Test(arguments: [
    ("hidden", "", "hidden is blank"), ("global_batch_seqs", "", "global_batch_seqs is blank"),
    ("layers", "ten", "layers is \"ten\", no whole number above 0"),
    ("gpu", "Abacus", "gpu \"Abacus\" is not described"), ("tp", "7", "are no multiple of tp x pp x cp"),
  ])
  func rowsWithoutShapeBatchOrLayoutAreSkippedWithAReason(column: String, value: String, reason: String)
    throws
  {
    let report = try report(try replacing([column], by: value, in: try table()))
    #expect(report.rowsScored == 0)
    #expect(report.rowsSkipped.contains { $0.reason.contains(reason) }, "\(report.rowsSkipped)")
  }

  @Test func perfectPredictionsScorePerfectly() throws {
    let exact = SetScores(time: [(1, 1), (2, 2), (3, 3)], memory: [(5, 5)])
    #expect(exact.stepTimeMedianError == 0 && exact.spearman == 1 && exact.memoryMedianError == 0)
    let scaled = SetScores(time: [(2, 1), (4, 2), (6, 3)], memory: [])
    #expect(scaled.stepTimeMedianError == 1 && scaled.stepTimeMedianErrorScaled == 0)
    #expect(scaled.stepTimeBias == 1 && scaled.memoryMedianError == nil)
  }

  @Test func groupsAndFailuresAreCounted() throws {
    let report = try report(try table())
    let failures = report.failures
    #expect(failures.failed > 0 && failures.fitted > 30)
    #expect(failures.foreseen <= failures.failed && failures.calledFailed <= failures.fitted)
    for group in report.groups {
      #expect(group.rows >= 5 && group.regret >= 0 && group.regret < 1)
    }
    #expect(report.sets["A"] != nil && report.tracks["fp8"] != nil)
  }

  @Test func ranksShareTies() {
    #expect(ranks([3, 1, 3, 2]) == [3.5, 1, 3.5, 2])
    #expect(rankCorrelation([1, 2, 3], [3, 2, 1]) == -1)
    #expect(rankCorrelation([1, 1], [1, 2]) == nil)
    #expect(median([4, 1, 3, 2]) == 2.5)
  }

  @Test(arguments: [
    ("node-node 1600 Gbps RoCE", 200e9), ("4x Omni-Path 100Gb links per node", 50e9),
    ("NVLink; InfiniBand 100 Gb/s EDR per node", 12.5e9), ("8x200 Gbps HDR IB per node", 200e9),
    ("NVLink 4 in the node; EFA 3200 Gb/s between nodes", 400e9),
    ("NVLink in node, 400 Gb/s RDMA per GPU; 500W cap", 400e9), ("NVSwitch in node", nil),
  ])
  func ratesOfNetworksAreRead(text: String, bandwidth: Double?) {
    #expect(InterconnectText(text, devicesPerNode: 8).nodeBandwidth == bandwidth)
  }

  @Test func constantsAreOverriddenByName() throws {
    let changed = try CostConstants(yaml: "contention: 2.5\n", name: "c.yaml")
    #expect(changed.contention == 2.5 && changed.innerHalf == CostConstants().innerHalf)
    let error = #expect(throws: (any Error).self) {
      try CostConstants(yaml: "contension: 2\n", name: "c.yaml")
    }
    #expect("\(error.map { "\($0)" } ?? "")".contains("did you mean contention?"))
    #expect(CostConstants.count == CostConstants().values.count)
  }
}
