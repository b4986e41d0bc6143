import ApusConfiguration
import ApusCore
import ApusForesight
import ApusReport
import ApusRuntime
import ApusTraining
import Foundation

/// `apus sweep SPEC.yaml`: many runs, foreseen or real, into one table.
enum SweepCommand: Command {
  static let name = "sweep"
  static let summary = "Foresee or really run many configurations, into a table for apus chart."
  static let arguments = ArgumentsSpecification(
    positionals: [Positional("SPEC", help: "What to run, in YAML; docs/foresight.md describes it.")],
    options: [
      .value("output", "FOLDER", help: "For the table and the ledger; an unfinished sweep there goes on."),
      .value(
        "hardware", "FILE", repeated: true, help: "A hardware description in YAML that wins over the shipped."
      ),
      .flag("retry", help: "Run again what crashed or timed out."),
      .flag("json", help: "Print the counts as JSON."),
    ])

  static func run(_ arguments: ParsedArguments) throws {
    let path = arguments.required("SPEC")
    let folder = try arguments.needed("output", example: "sweep")
    var catalogue = try HardwareCatalogue.shipped()
    for file in arguments.all("hardware") {
      catalogue.add(try HardwareDescription(yaml: try TextInput.text(of: file), name: file))
    }
    let specification = try SweepSpecification(
      yaml: try TextInput.text(of: path), name: path, catalogue: catalogue)
    do {
      try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    } catch { throw CommandError.output(path: folder, problem: StandardOutput.words(of: error)) }
    let ledger = try SweepLedger(path: "\(folder)/records.jsonl")
    var sweep = Sweep(name: specification.name, folder: folder, ledger: ledger)
    let watch = Stopwatch()
    switch specification.work {
    case .simulate(let work): try sweep.simulate(work)
    case .run(let work):
      let directory = URL(fileURLWithPath: path).deletingLastPathComponent()
      try sweep.runAll(
        work, configuration: URL(fileURLWithPath: work.configuration, relativeTo: directory),
        retry: arguments.flag("retry"))
    }
    let summary = try sweep.finish(seconds: watch.seconds)
    if arguments.flag("json") {
      try StandardOutput.write(json: summary)
    } else {
      try StandardOutput.write(summary.text)
    }
    if sweep.wasStopped { throw ExitStatus(code: StopRequest.exitStatus) }
  }
}

/// A sweep under way.
struct Sweep {
  private let name: String
  private let folder: String
  private let ledger: SweepLedger
  private var hashes: [String] = []
  private var isNew = 0
  private var impossible = 0
  private(set) var wasStopped = false

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

    var text: String {
      let counts = status.sorted { $0.key < $1.key }.map { "\($0.value.grouped) \($0.key)" }
      return """
        \(runs.grouped) runs (\(new.grouped) new, \(known.grouped) known) in \(seconds.formatted(decimals: 1)) s: \
        \(counts.joined(separator: ", "))
        \(combinationsThatDoNotDivide.grouped) combinations do not divide and are no runs
        table: \(table)

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

  mutating func runAll(_ work: RealSweep, configuration: URL, retry: Bool) throws {
    // All configurations are read before the first runs.
    let runs = try work.variations.map { try RealRun(file: configuration, overrides: $0) }
    let program = try Self.ownProgram()
    let notice = StopNotice()
    var machines: [String: MachineCalibration] = [:]
    let peak = try MachineMeasurement.measure(
      threads: ArithmeticLibrary.defaultThreads, sizes: [1024, 2048], repeats: 3, measuresMemory: false
    ).peakFLOPsPerSecond
    for (index, run) in runs.enumerated() {
      hashes.append(run.record.hash)
      if let known = ledger.record(run.record.hash), !retry || known.status == .ok { continue }
      if notice.isAsked { break }
      let job = try MachineJob(run.configuration)
      let machine = try machines[job.calibrationKey] ?? job.calibrate()
      machines[job.calibrationKey] = machine
      var record = try run.run(
        program: program, folder: URL(fileURLWithPath: "\(folder)/run-\(run.record.hash)"),
        timeout: work.timeoutSeconds, stop: { notice.isAsked })
      if notice.isAsked { break }
      if let foreseen = job.foresee(machine, peak: peak) {
        record.predicted = foreseen.result
        record.predictedStatus = foreseen.fits ? .ok : .outOfMemory
      }
      isNew += 1
      try ledger.append([record])
      StandardError.note("\(index + 1)/\(runs.count) \(Self.line(record))")
    }
    wasStopped = notice.isAsked
  }

  private static func line(_ record: SweepRecord) -> String {
    var line = "\(record.fields["settings"] ?? ""): \(record.status?.rawValue ?? "")"
    if let measured = record.measured {
      line += ", step \(DurationWords.text(measured.stepSeconds))"
      if let predicted = record.predicted {
        let off = 100 * (predicted.stepSeconds / measured.stepSeconds - 1)
        line +=
          ", foreseen \(DurationWords.text(predicted.stepSeconds)) (\(off > 0 ? "+" : "")\(off.formatted(decimals: 1)) %)"
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
    return Summary(
      runs: records.count, new: isNew, known: records.count - isNew,
      combinationsThatDoNotDivide: impossible, status: status, seconds: seconds, table: table)
  }

  /// The program that runs now, to run again as a child.
  private static func ownProgram() throws -> String {
    do { return try FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe") } catch {
      throw CommandError.input(path: "/proc/self/exe", problem: StandardOutput.words(of: error))
    }
  }
}
