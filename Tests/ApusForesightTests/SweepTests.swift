import ApusConfiguration
import ApusCore
import ApusForesight
import Foundation
import Testing

@Suite struct SweepTests {
  private let yaml = """
    name: small
    simulate:
      hardware: H100-80GB
      models: [bench-1.34b]
      sequence_length: 4096
      global_batch_tokens: 1048576
      nodes: [1, 2]
      tensor: [1, 2, 3]
      pipeline: [1, 2]
      schedule: [1f1b, zb-h1]
      zero_stage: [0, 1]
      micro_batch_size: [1, 4]
    """

  private func sweep(_ yaml: String) throws -> SimulatedSweep {
    let specification = try SweepSpecification(
      yaml: yaml, name: "spec.yaml", catalogue: try HardwareCatalogue.shipped())
    guard case .simulate(let work) = specification.work else { throw CancellationError() }
    return work
  }

  /// Degree 3 divides neither devices nor heads; one stage knows one schedule: 2 nodes x (2 tensor) x (1 + 2) x 2 x 2.
  @Test func combinations() throws {
    let (runs, impossible) = try sweep(yaml).combinations()
    #expect(runs.count == 2 * 2 * 3 * 2 * 2)
    #expect(impossible == 2 * 1 * 3 * 2 * 2)
    for run in runs {
      let layout = run.job.layout
      #expect(layout.worldSize.isMultiple(of: 8))
      #expect(layout.data * layout.microBatchSize * layout.microbatches == 256)
    }
    #expect(Set(runs.map { SweepRecord.hash(.simulated, $0.fields) }).count == runs.count)
  }

  @Test func mistakesAreNamedTogether() throws {
    let wrong = """
      simulate:
        hardware: H1000
        models: [bench-9b]
        nodes: [0]
        schedule: [1f2b]
        zero: [1]
      """
    let error = #expect(throws: ConfigurationError.self) { try sweep(wrong) }
    let text = error?.description ?? ""
    for word in ["H1000", "bench-9b", "\"0\"", "1f2b", "zero"] { #expect(text.contains(word), "\(text)") }
  }

  /// Records are the forecasts, in order; failed ones say by how much, where and from when.
  @Test func records() throws {
    let (runs, _) = try sweep(yaml).combinations()
    let records = SweepForecast().records(runs)
    #expect(records.map(\.hash) == runs.map { SweepRecord.hash(.simulated, $0.fields) })
    let simulator = StepSimulator()
    for (record, run) in zip(records, runs).prefix(8) {
      let forecast = try simulator.forecast(run.job)
      #expect(record.predicted?.stepSeconds == forecast.stepSeconds)
      #expect((record.predictedStatus == .ok) == forecast.memory.fits)
      #expect(forecast.memory.fits == record.reason.isEmpty)
    }
    let csv = try CSVTable(SweepTable.csv(records, name: "small"), name: "csv")
    #expect(csv.rows.count == records.count)
    let rows = csv.rows.map {
      PublishedRow(csv, $0, (try? HardwareCatalogue.shipped()) ?? HardwareCatalogue([]))
    }
    #expect(
      zip(rows, runs).allSatisfy {
        $0.job?.layout.data == $1.job.layout.data && $0.job?.layout.tensor == $1.job.layout.tensor
      })
  }

  /// A ledger gives back what was appended; a torn last line is cut off, a broken one inside is refused.
  @Test func ledger() throws {
    let path = FileManager.default.temporaryDirectory.appendingPathComponent("ledger-\(UUID()).jsonl").path
    defer { try? FileManager.default.removeItem(atPath: path) }
    var first = SweepRecord(.measured, fields: ["a": "1"])
    first.status = .timedOut
    let second = SweepRecord(.measured, fields: ["a": "2"])
    do {
      let ledger = try SweepLedger(path: path)
      try ledger.append([first, second])
    }
    let torn = try #require(FileHandle(forWritingAtPath: path))
    try torn.seekToEnd()
    try torn.write(contentsOf: Data("{\"hash\":\"12".utf8))
    try torn.close()
    first.status = .ok
    do {
      let ledger = try SweepLedger(path: path)
      #expect(ledger.records.count == 2 && ledger.record(first.hash)?.status == .timedOut)
      try ledger.append([first])
      #expect(ledger.records.count == 2)
    }
    do {
      let ledger = try SweepLedger(path: path)
      #expect(ledger.record(first.hash)?.status == .ok && ledger.record(second.hash) == second)
    }
    try Data("nonsense\n{}\n".utf8).write(to: URL(fileURLWithPath: path))
    #expect(throws: ForesightError.self) { _ = try SweepLedger(path: path) }
  }

  @Test func realRuns() throws {
    let yaml = """
      run:
        configuration: base.yaml
        timeout_seconds: 5
        vary: {model.layers: [1, 2], training.micro_batch_size: [1, 2, 4]}
        list:
          - {model.layers: 8}
      """
    let specification = try SweepSpecification(
      yaml: yaml, name: "spec.yaml", catalogue: try HardwareCatalogue.shipped())
    guard case .run(let work) = specification.work else {
      Issue.record("no real sweep")
      return
    }
    #expect(work.variations.count == 7 && work.timeoutSeconds == 5)
    #expect(work.variations[1] == ["model.layers=1", "training.micro_batch_size=2"])
    #expect(work.variations[6] == ["model.layers=8"])
  }
}
