import ApusConfiguration
import ApusCore
import ApusForesight
import ApusModels
import ApusProgram
import ApusReport
import ApusRuntime
import ApusTraining
import Foundation

/// A sweep under way.
struct Sweep {
  private let name: String
  private let folder: String
  private let ledger: SweepLedger
  private var hashes: [String] = []
  private var isNew = 0
  private var impossible = 0
  /// The signal that ended the sweep before its last run.
  private(set) var stopSignal: Int32?

  init(name: String, folder: String, ledger: SweepLedger) {
    self.name = name
    self.folder = folder
    self.ledger = ledger
  }

  /// What a sweep came to.
  struct Summary: Encodable {
    let runs, new, known, combinationsThatDoNotDivide: Int
    let status: [String: Int]
    let seconds: Double
    let table: String
    /// Of real runs that were foreseen.
    let foreseen: ForeseenAccuracy?
    /// The same at the speed that the machine had between the runs' steps.
    let foreseenAtSpeed: ForeseenAccuracy?
    /// Runs whose memory and whose sent bytes were exactly as foreseen.
    let exactMemory, exactSentBytes: Int

    var text: String {
      let counts = status.sorted { $0.key < $1.key }.map { "\($0.value.grouped) \($0.key)" }
      return """
        \(runs.grouped) runs (\(new.grouped) new, \(known.grouped) known) in \(seconds.formatted(decimals: 1)) s: \
        \(counts.joined(separator: ", "))
        \(combinationsThatDoNotDivide.grouped) combinations do not divide and are no runs
        table: \(table)

        """ + accuracy
    }

    private var accuracy: String {
      guard let foreseen else { return "" }
      return """
        \(foreseen.text)
        \(foreseenAtSpeed.map { "at the speed that the machine had during each run: \($0.text)\n" } ?? "")\
        memory exactly as planned in \(exactMemory) of \(foreseen.runs) runs, bytes sent as counted in \(exactSentBytes)

        """
    }
  }

  mutating func simulate(_ work: SimulatedSweep) throws {
    let (settings, impossible) = work.combinations()
    self.impossible = impossible
    guard !settings.isEmpty else {
      throw UsageError("the sweep has no run whose numbers divide; \(impossible) combinations were looked at")
    }
    var missing: [SweepRecord.Setting] = []
    for setting in settings {
      let hash = SweepRecord.hash(.simulated, setting.fields)
      hashes.append(hash)
      if ledger.record(hash) == nil { missing.append(setting) }
    }
    isNew = missing.count
    let forecast = SweepForecast()
    for start in stride(from: 0, to: missing.count, by: 2048) {
      try ledger.append(forecast.records(Array(missing[start..<min(missing.count, start + 2048)])))
    }
  }

  /// - Parameter machine: a file that describes this machine; it is measured when there is none.
  mutating func runAll(
    _ work: RealSweep, configuration: URL, machine: String?, retry: Bool
  ) throws {
    // All configurations are read before the first runs.
    let runs = try RealRun.all(work, file: configuration)
    hashes = runs.map(\.record.hash)
    let missing = runs.filter { run in
      guard let known = ledger.record(run.record.hash) else { return true }
      return retry && known.status != .ok
    }
    guard !missing.isEmpty else { return }
    let (path, hardware) = try describe(machine, for: missing)
    let notice = StopNotice()
    let surroundings = RealRun.Surroundings(
      program: try Self.ownProgram(), hardware: path, timeoutSeconds: work.timeoutSeconds,
      peak: try MachineMeasurement.measure(
        threads: ArithmeticLibrary.defaultThreads, sizes: [1024, 2048], repeats: 3, measuresMemory: false
      ).peakFLOPsPerSecond, stop: { notice.isAsked })
    var speed = RecentSpeed()
    for run in missing {
      // Before the run: nothing of it can be in what is foreseen.
      let foreseen = hardware.measured.map { run.job.foresee($0, peak: surroundings.peak) }
      if notice.isAsked { break }
      var record = try run.run(
        surroundings, folder: URL(fileURLWithPath: "\(folder)/run-\(run.record.hash)"), &speed)
      // What was cut short is no result: the sweep runs it again when it goes on.
      if notice.isAsked, record.status == .timedOut { break }
      // The run has foreseen itself at its own start; where it did not come so far, the description alone has.
      record.predicted = record.predicted ?? foreseen?.result
      record.predictedStatus = foreseen.map { $0.fits ? .ok : .outOfMemory }
      isNew += 1
      try ledger.append([record])
      StandardError.note("\(isNew)/\(missing.count) \(Self.line(record))")
    }
    stopSignal = notice.firstSignal
  }

  /// The description of this machine: the file that was named, or that of the sweep's folder, which is measured and
  /// written when it is not there.
  private func describe(
    _ named: String?, for runs: [RealRun]
  ) throws -> (path: String, hardware: HardwareDescription) {
    let path = named ?? "\(folder)/\(ThisMachine.name).yaml"
    if named == nil, !FileManager.default.fileExists(atPath: path) {
      var precisions: [PrecisionPolicy] = []
      for run in runs where !precisions.contains(run.job.settings.precision) {
        precisions.append(run.job.settings.precision)
      }
      let yaml = try NamedHardware.measured(precisions).yaml
      do { try yaml.write(toFile: path, atomically: true, encoding: .utf8) } catch {
        throw CommandError.output(path: path, problem: StandardOutput.words(of: error))
      }
    }
    let hardware = try NamedHardware.read(path)
    guard hardware.measured != nil else {
      throw UsageError("\(path) describes a machine that was not measured; use apus bench machine --hardware")
    }
    return (path, hardware)
  }

  private static func line(_ record: SweepRecord) -> String {
    var line = "\(record.fields["settings"] ?? ""): \(record.status?.rawValue ?? "")"
    if let measured = record.measured {
      line += ", step \(DurationWords.text(measured.stepSeconds))"
      if let predicted = record.predicted {
        let error = StepComparisonText.signed(predicted.stepSeconds / measured.stepSeconds - 1)
        line += ", foreseen \(DurationWords.text(predicted.stepSeconds)) (\(error))"
        if let atSpeed = record.foreseenAtSpeed {
          let error = StepComparisonText.signed(atSpeed / measured.stepSeconds - 1)
          line += ", at its speed \(DurationWords.text(atSpeed)) (\(error))"
        }
      }
    } else {
      line += ", \(record.reason)"
    }
    return line
  }

  /// Writes the table of this specification's runs.
  mutating func finish(seconds: Double) throws -> Summary {
    let records = hashes.compactMap { ledger.record($0) }
    let table = "\(folder)/\(name).csv"
    do {
      try SweepTable.csv(records, name: name).write(toFile: table, atomically: true, encoding: .utf8)
    } catch { throw CommandError.output(path: table, problem: StandardOutput.words(of: error)) }
    var status: [String: Int] = [:]
    for record in records {
      let word = record.kind == .measured ? record.status : record.predictedStatus
      status[word?.rawValue ?? "unknown", default: 0] += 1
    }
    let pairs = records.compactMap { record in
      record.measured.flatMap { real in record.predicted.map { (foreseen: $0, measured: real) } }
    }
    // A plan ends at a boundary of the allocator, the last tensor somewhat before it.
    let exactMemory = pairs.filter {
      Packing.align(Int($0.measured.peakBytes), MemoryPlan.alignment) == Int($0.foreseen.peakBytes)
    }
    return Summary(
      runs: records.count, new: isNew, known: records.count - isNew,
      combinationsThatDoNotDivide: impossible, status: status, seconds: seconds, table: table,
      foreseen: ForeseenAccuracy(pairs.map { ($0.foreseen.stepSeconds, $0.measured.stepSeconds) }),
      foreseenAtSpeed: ForeseenAccuracy(
        records.compactMap { record in
          record.measured.flatMap { real in record.foreseenAtSpeed.map { ($0, real.stepSeconds) } }
        }),
      exactMemory: exactMemory.count,
      exactSentBytes: pairs.filter { $0.foreseen.sentBytes == $0.measured.sentBytes }.count)
  }

  /// The program that runs now, to run again as a child.
  private static func ownProgram() throws -> String {
    do { return try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe") } catch {
      throw CommandError.input(path: "/proc/self/exe", problem: StandardOutput.words(of: error))
    }
  }
}
