import ApusConfiguration
import ApusCore
import ApusForesight
import ApusModels
import ApusReport
import ApusTraining
import Foundation

/// One real run of a sweep: a child process that trains, and what its metrics say.
struct RealRun {
  /// What defines the run: the columns of the table, and the values that are set.
  let record: SweepRecord
  let configuration: Configuration
  let file: URL
  let overrides: [String]

  /// - Throws: what is wrong with the configuration under these values.
  init(file: URL, overrides: [String]) throws {
    self.file = file
    self.overrides = overrides
    configuration = try Configuration.load(file: file, overrides: overrides)
    var fields = try MachineJob(configuration).fields
    fields["settings"] = overrides.joined(separator: " ")
    record = SweepRecord(.measured, fields: fields)
  }

  /// Steps at the start that are not counted.
  private static let warmUp = 2

  /// Trains in a child process and reads its metrics.
  ///
  /// - Parameter folder: for the run's files; it must not exist.
  func run(program: String, folder: URL, timeout: Double, stop: () -> Bool) throws -> SweepRecord {
    var record = record
    let log = folder.appendingPathExtension("log").path
    let words =
      ["train", file.path] + overrides.flatMap { ["--set", $0] }
      + ["--set", "output.folder=\(folder.path)", "--overwrite"]
    let watch = Stopwatch()
    let child = try ChildProcess(program, words, output: log)
    let ending = child.wait(timeout: timeout, stop: stop)
    record.seconds = watch.seconds
    let said = (try? String(contentsOfFile: log, encoding: .utf8)) ?? ""
    let lastLine = said.split(separator: "\n").last.map(String.init) ?? ""
    switch ending {
    case .exited(0):
      record.status = .ok
      record.measured = try? measure(folder)
      if record.measured == nil {
        record.status = .crashed
        record.reason = "no step was recorded after the warm-up of \(Self.warmUp)"
      }
    case .timedOut:
      record.status = .timedOut
      record.reason = "ended after \(timeout.formatted(decimals: 0)) s"
    case .exited(let code):
      let memory = said.contains("does not fit") || said.contains("out of memory")
      record.status = memory ? .outOfMemory : .crashed
      record.reason = lastLine.isEmpty ? "exit status \(code)" : lastLine
    case .killed(let signal):
      record.status = .crashed
      record.reason = "signal \(signal)" + (lastLine.isEmpty ? "" : ": \(lastLine)")
    }
    try? FileManager.default.removeItem(at: folder)
    if record.status == .ok { try? FileManager.default.removeItem(atPath: log) }
    return record
  }

  /// Median step after the warm-up.
  private func measure(_ folder: URL) throws -> SweepRecord.Result? {
    let records = try MetricsFile.read(path: folder.appendingPathComponent("metrics.jsonl").path)
    let timed = records.dropFirst(Self.warmUp)
    let seconds = timed.map(\.stepSeconds).sorted()
    guard !seconds.isEmpty, let last = records.last else { return nil }
    let step = seconds[seconds.count / 2]
    let job = try MachineJob(configuration)
    return SweepRecord.Result(
      stepSeconds: step, tokensPerSecondPerDevice: Double(job.tokensOfStep) / step / Double(job.ranks),
      utilization: last.modelFLOPsUtilization ?? 0, peakBytes: Double(last.peakMemoryBytes))
  }
}
