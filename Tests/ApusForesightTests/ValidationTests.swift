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
    ("hidden", "99999999999999", "more than the 1048576 that can be foreseen"),
    ("hidden", "1048576", "gives heads of"), ("seq_len", "1e300", "no whole number above 0"),
    ("micro_batch", "1048576", "is more than can be foreseen"),
  ])
  func rowsWithoutShapeBatchOrLayoutAreSkippedWithAReason(column: String, value: String, reason: String)
    throws
  {
    let report = try report(try replacing([column], by: value, in: try table()))
    #expect(report.rowsScored == 0)
    #expect(report.rowsSkipped.contains { $0.reason.contains(reason) }, "\(report.rowsSkipped)")
  }

  @Test func aBatchThatLeavesReplicasWithoutASequenceIsNoBatch() throws {
    var blank = try replacing(["micro_batch", "grad_accum", "dp", "tp", "pp", "cp"], by: "", in: try table())
    blank = try replacing(["global_batch_seqs"], by: "1", in: blank)
    blank = try replacing(["gpus"], by: "64", in: blank)
    let skipped = try report(blank).rowsSkipped
    #expect(skipped.map(\.reason) == ["global_batch_seqs 1 leaves none of 64 replicas a sequence each"])
  }

  @Test func whatIsMeasuredAndNoNumberIsTold() throws {
    let report = try report(try replacing(["step_time_s"], by: "fast", in: try table()))
    #expect(report.measurementsUnread.map(\.reason) == ["step_time_s is \"fast\", no number above 0"])
    #expect(report.rowsScored > 30)
  }

  @Test func aMissingColumnIsNamed() throws {
    let table = try table()
    let columns = table.columns.filter { $0 != "layers" }
    var text = CSVTable.line(columns)
    for row in table.rows { text += CSVTable.line(columns.map { table.field($0, of: row) }) }
    let skipped = try report(try CSVTable(text, name: "short.csv")).rowsSkipped
    #expect(skipped.map(\.reason) == ["the table has no column layers"])
  }

  /// Layouts that somebody may ask for give a step of positive length and a utilisation that hardware can reach.
  @Test(arguments: ["V100-16GB", "A100-40GB", "A800-80GB", "H100-80GB", "H200", "B200", "GB200", "GB300"])
  func oddRowsAreForeseenSensibly(gpu: String) throws {
    var text =
      "gpu,gpus,hidden,layers,heads,kv_heads,ffn_hidden,mlp,vocab,seq_len,global_batch_seqs,micro_batch,"
    text += "tp,pp,cp,precision,flash_attention\n"
    for model in [
      "768,12,12,12,3072,gelu,50257", "6144,40,48,1,24576,gelu,49152", "1000,7,9,3,2731,swiglu,30011",
    ] {
      for layout in ["1,1,1,1", "16,1,16,1", "64,8,2,2", "16384,8,16,1"] {
        let degrees = layout.split(separator: ",")
        for precision in ["bf16", "fp16", "fp8", "fp32"] {
          for sequence in ["512", "131072"] {
            text +=
              "\(gpu),\(degrees[0]),\(model),\(sequence),16384,1,\(degrees[1...].joined(separator: ","))"
            text += ",\(precision),\(precision == "fp16" ? 0 : 1)\n"
          }
        }
      }
    }
    for outcome in try report(try CSVTable(text, name: "odd.csv")).outcomes {
      let forecast = try #require(outcome.forecast, "\(outcome.row.problem ?? "")")
      #expect(forecast.stepSeconds > 0 && forecast.stepSeconds.isFinite)
      #expect(forecast.utilizationCausal > 0 && forecast.utilizationCausal < 1.6, "\(outcome.row)")
      #expect(forecast.memory.devicePeak > 0 && forecast.memory.devicePeak.isFinite)
    }
  }

  @Test func perfectPredictionsScorePerfectly() throws {
    func rows(_ factor: Double) -> [SetScores.TimedRow] {
      [1, 2, 3].map { SetScores.TimedRow(predicted: factor * $0, measured: $0) }
    }
    let exact = SetScores(time: rows(1), memory: [(5, 5)])
    #expect(exact.stepTimeMedianError == 0 && exact.spearman == 1 && exact.memoryMedianError == 0)
    let scaled = SetScores(time: rows(2), memory: [])
    #expect(scaled.stepTimeMedianError == 1 && scaled.stepTimeMedianErrorScaled == 0)
    #expect(scaled.stepTimeBias == 1 && scaled.memoryMedianError == nil)
  }

  /// No factor of a fine grid leaves a smaller median error than the one found.
  @Test(arguments: [[1.0], [1, 2], [1, 2, 4], [0.3, 0.9, 1, 1.1, 5, 7], [2, 2, 2, 9, 10, 11, 11.5]])
  func theBestFactorIsFound(ratios: [Double]) throws {
    let found = try #require(ConstantUtilization.smallestMedianError(ratios))
    let grid = (1...40_000).compactMap { step in median(ratios.map { abs(Double(step) * 1e-4 * $0 - 1) }) }
    let smallest = try #require(grid.min())
    #expect(found <= smallest + 1e-12 && found >= smallest - 1e-3)
  }

  /// Rows at one share of the peak are predicted without error by it, whatever their sizes.
  @Test func oneUtilizationIsScoredBesideThePredictions() throws {
    let steady = [1.0, 3, 8].map { SetScores.TimedRow(predicted: 1, measured: $0, ideal: [0.4 * $0, 1]) }
    let scores = SetScores(time: steady, memory: [])
    #expect(try #require(scores.constantUtilizationError) < 1e-12 && scores.beatsConstantUtilization == false)
    let spread = [1.0, 3, 8].map { SetScores.TimedRow(predicted: $0, measured: $0, ideal: [1]) }
    #expect(SetScores(time: spread, memory: []).beatsConstantUtilization == true)
    #expect(SetScores(time: [], memory: []).constantUtilizationError == nil)
    // Five times each row, so that there are groups.
    let table = try table()
    let lines = table.rows.map { row in CSVTable.line(table.columns.map { table.field($0, of: row) }) }
      .joined()
    let fiveTimes = CSVTable.line(table.columns) + String(repeating: lines, count: 5)
    let summary = ValidationSummary(try report(try CSVTable(fiveTimes, name: "runs.csv")))
    let text = String(decoding: try JSONEncoder().encode(summary), as: UTF8.self)
    for key in [
      "constant_utilisation_error", "step_time_median_error", "step_time_median_error_scaled",
      "step_time_bias", "spearman", "memory_median_error", "overall", "groups", "rank_correlation", "regret",
      "failed_foreseen",
      "fitted_called_failed", "tracks", "rows_scored", "rows_skipped", "beats_constant_utilisation",
    ] { #expect(text.contains("\"\(key)\""), "\(key)") }
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

  @Test(arguments: [
    ("PCIe gen4; 100 Gb/s RoCE", true), ("NVLink in node, PCIe to the NICs", false),
    ("NVSwitch in node", false),
    ("", false),
  ])
  func nodesWithoutNVLinkAreTold(text: String, isPCIe: Bool) {
    #expect(InterconnectText(text, devicesPerNode: 8).namesPCIe == isPCIe)
  }

  /// The trays of a rack share its link: a row's four devices a node change neither link nor network.
  @Test func racksJoinTheirTrays() throws {
    func hardware(_ gpu: String, perNode: String) throws -> HardwareDescription {
      let table = try CSVTable(
        "gpu,gpus,gpus_per_node,hidden,layers,vocab,seq_len,global_batch_seqs\n"
          + "\(gpu),64,\(perNode),4096,32,32000,4096,512\n", name: "rack.csv")
      let row = PublishedRow(table, try #require(table.rows.first), try .shipped())
      return try #require(row.job).hardware
    }
    #expect(try hardware("GB200", perNode: "4") == hardware("GB200", perNode: "72"))
    #expect(try hardware("GB200", perNode: "").network.bandwidth == 28_800e9 / 8)
    #expect(try hardware("H100", perNode: "4").devicesPerNode == 4)
    #expect(try hardware("H100", perNode: "4").network.bandwidth == 200e9)
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
