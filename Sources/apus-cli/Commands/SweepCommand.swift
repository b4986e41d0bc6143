import ApusConfiguration
import ApusCore
import ApusForesight
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
        "hardware", "FILE", repeated: true,
        help:
          "A hardware description in YAML that wins over the shipped; of real runs this machine's, by apus bench "
          + "machine. It is measured before the first run when not given."
      ),
      .flag("retry", help: "Run again what crashed or timed out."),
      .flag("json", help: "Print the counts as JSON."),
    ])

  static func run(_ arguments: ParsedArguments) throws {
    let path = arguments.required("SPEC")
    let folder = try arguments.needed("output", example: "sweep")
    var catalogue = try HardwareCatalogue.shipped()
    for file in arguments.all("hardware") { catalogue.add(try NamedHardware.read(file)) }
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
        machine: arguments.all("hardware").last, retry: arguments.flag("retry"))
    }
    let summary = try sweep.finish(seconds: watch.seconds)
    if arguments.flag("json") {
      try StandardOutput.write(json: summary)
    } else {
      try StandardOutput.write(summary.text)
    }
    if let signal = sweep.stopSignal { throw ExitStatus(code: 128 + signal) }
  }
}
