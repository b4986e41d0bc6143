import ApusConfiguration
import ApusCore
import ApusForesight
import ApusModels
import ApusReport
import ApusTraining
import Foundation

/// One real run of a sweep: a child process that trains, and what it says of its steps.
struct RealRun {
  /// What defines the run: the columns of the table, and the values that are set.
  let record: SweepRecord
  let configuration: Configuration
  let job: MachineJob
  private let file: URL
  private let overrides: [String]

  /// - Throws: what is wrong with the configuration under these values.
  init(file: URL, overrides: [String]) throws {
    self.file = file
    self.overrides = overrides
    configuration = try Configuration.load(file: file, overrides: overrides)
    job = try MachineJob(configuration)
    var fields = job.fields
    fields["settings"] = overrides.joined(separator: " ")
    record = SweepRecord(.measured, fields: fields)
  }

  /// Every run of a sweep.
  ///
  /// - Throws: everything that is wrong with any of them, and what is missing of their data.
  static func all(_ sweep: RealSweep, file: URL) throws -> [RealRun] {
    var runs: [RealRun] = []
    var problems: [Problem] = []
    for overrides in sweep.variations {
      let run = Result { try RealRun(file: file, overrides: overrides) }
      guard case .failure(let error) = run, let mistake = error as? ConfigurationError else {
        runs.append(try run.get())
        continue
      }
      // Runs share most of their values, and a mistake in one of those is one mistake.
      for problem in mistake.problems where !problems.contains(problem) { problems.append(problem) }
    }
    guard problems.isEmpty else { throw ConfigurationError(problems: problems) }
    for data in Set(runs.map(\.configuration.data)) { _ = try RunSources(data) }
    return runs
  }

  /// What a run is given beside its configuration.
  struct Surroundings {
    let program: String
    /// A description of this machine.
    let hardware: String
    let timeoutSeconds: Double
    /// FLOP/s that utilisation is measured against.
    let peak: Double
    let stop: () -> Bool
  }

  /// Trains in a child process and reads what it measured.
  ///
  /// - Parameters:
  ///   - folder: for the run's files; what it holds is deleted.
  ///   - speed: of the machine before this run and the ones before it.
  func run(_ surroundings: Surroundings, folder: URL, _ speed: inout RecentSpeed) throws -> SweepRecord {
    var record = record
    let log = folder.appendingPathExtension("log").path
    let words =
      ["train", file.path] + overrides.flatMap { ["--set", $0] }
      + [
        "--set", "output.folder=\(folder.path)", "--overwrite", "--hardware", surroundings.hardware,
        "--probe-speed",
      ]
    let watch = Stopwatch()
    let child = try ChildProcess(surroundings.program, words, output: log)
    let ending = child.wait(timeout: surroundings.timeoutSeconds, stop: surroundings.stop)
    record.seconds = watch.seconds
    let said = (try? String(contentsOfFile: log, encoding: .utf8)) ?? ""
    (record.status, record.reason) = Self.verdict(
      ending, said: said, timeoutSeconds: surroundings.timeoutSeconds)
    let comparison = RunFolder(folder).recordedFacts?.step
    if let foreseen = comparison?.foreseen, var seconds = foreseen.stepSeconds {
      if let slowness = foreseen.slowness {
        seconds *= speed.add(slowness, sharing: "\(job.ranks)x\(job.threads)") / slowness
      }
      record.predicted = job.result(
        seconds: seconds, arenaBytes: foreseen.arenaBytes, sentBytes: foreseen.sentBytes,
        peak: surroundings.peak)
    }
    if record.status == .ok {
      if let step = comparison?.measured {
        record.measured = job.result(
          seconds: step.stepSeconds, arenaBytes: step.arenaBytes, sentBytes: step.sentBytes,
          peak: surroundings.peak)
        record.residentBytes = step.residentBytes
        record.foreseenAtSpeed = comparison?.foreseenAtSpeed
      } else {
        (record.status, record.reason) = (.crashed, "it left no measured step in run.json")
      }
    }
    try? FileManager.default.removeItem(at: folder)
    if record.status == .ok || surroundings.stop() { try? FileManager.default.removeItem(atPath: log) }
    return record
  }

  /// How a run ended, and why where it failed.
  ///
  /// - Parameter said: what it printed.
  static func verdict(
    _ ending: ChildProcess.Ending, said: String, timeoutSeconds: Double
  ) -> (status: SweepRecord.Status, reason: String) {
    var lastLine = said.split(separator: "\n").last.map(String.init) ?? ""
    if lastLine.hasPrefix("apus: ") { lastLine.removeFirst(6) }
    switch ending {
    case .exited(0): return (.ok, "")
    case .timedOut: return (.timedOut, "ended after \(timeoutSeconds.formatted(decimals: 0)) s")
    case .exited(let code):
      return (
        code == ExitStatus.memory.code ? .outOfMemory : .crashed,
        lastLine.isEmpty ? "exit status \(code)" : lastLine
      )
    case .killed(let signal):
      return (.crashed, "signal \(signal)" + (lastLine.isEmpty ? "" : ": \(lastLine)"))
    }
  }
}
