import ApusCore
import ApusReport
import ApusTraining
import Foundation

/// `apus profile CONFIG`: a few steps looked at from outside.
enum ProfileCommand: Command {
  static let name = "profile"
  static let summary = "Run a few steps and show where their memory and time go."
  static let arguments = ArgumentsSpecification(
    positionals: [Positional("MODEL", help: "A configuration file in YAML, or a preset such as gpt2-124m.")],
    options: [
      .value("set", "KEY=VALUE", repeated: true, help: "Override one value, as in model.layers=6."),
      .value("micro-batch", "N", .integer(1...1_048_576), help: "Sequences of a micro-batch."),
      .value("sequence-length", "N", .integer(1...16_777_216), help: "Tokens of a sequence."),
      .value(
        "steps", "N", .integer(1...10_000), default: "3",
        help: "Timed steps, after two whose pages are watched."
      ),
      .value(
        "output", "DIR",
        help: "Where profile.html, trace.json and profile.json go (default: profiles/ and the model's name)."),
      .flag("json", help: "Print the profile as one JSON object."),
    ])

  static func run(_ arguments: ParsedArguments) throws {
    let job = try EstimatedJob(arguments)
    guard job.settings.layout.worldSize == 1 else {
      throw UsageError(
        "a profile is of one rank; set the layout's degrees to 1, or use apus bench train --layout --output FILE"
      )
    }
    let stem = URL(fileURLWithPath: job.title).deletingPathExtension().lastPathComponent
    let place = try OutputPlace(arguments.text("output") ?? "profiles/\(stem)", .folder)
    let isQuiet = arguments.flag("json")
    func note(_ text: String) {
      // With --json standard output is for the object alone.
      FileHandle(fileDescriptor: isQuiet ? 2 : 1).write(Data((text + "\n").utf8))
    }
    let profiler = try StepProfiler(
      .init(
        title: stem, model: job.shape, settings: job.settings, accumulation: job.accumulation,
        threads: job.threads, command: CommandLine.arguments))
    let (report, trace) = try profiler.run(steps: arguments.integer("steps") ?? 1, note: note)
    let json = try JSONText.of(report)
    try place.makeParent()
    var folder = try AsideFolder(for: place)
    let page = ProfilePage(report, charts: try? ChartLibrary.find())
    for (name, text) in [
      ("profile.html", page.text), ("trace.json", trace.json), ("profile.json", json + "\n"),
    ] {
      do { try Data(text.utf8).write(to: folder.url.appendingPathComponent(name)) } catch {
        throw CommandError.output(path: "\(place.path)/\(name)", problem: StandardOutput.words(of: error))
      }
    }
    try folder.finish()
    note("written: \(place.path)/profile.html, \(place.path)/trace.json (ui.perfetto.dev)\n")
    try print(isQuiet ? json : ProfileTables(report).text, terminator: isQuiet ? "\n" : "")
  }
}
