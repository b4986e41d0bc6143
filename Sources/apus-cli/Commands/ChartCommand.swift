import ApusCore
import ApusForesight
import ApusReport
import Foundation

/// `apus chart`: thousands of runs as one picture.
enum ChartCommand: Command {
  static let name = "chart"
  static let summary = "Draw runs: throughput as size, utilisation as colour, the best of each cluster."
  static let arguments = ArgumentsSpecification(
    positionals: [
      Positional(
        "FILE", repeated: true, help: "CSV of apus sweep, or with the columns that apus validate reads.")
    ],
    options: [
      .value(
        "html", "FILE", help: "The interactive page; FILE.html beside the first table when nothing is named."),
      .value("svg", "FILE", help: "The scatter as a picture."),
      .value("heatmap", "FILE", help: "The best configurations as a picture (SVG)."),
      .value("pairs", "FILE", help: "Simulated against measured step times as a picture (SVG)."),
      .value("title", "TEXT", help: "Above the chart; the file's name when not given."),
    ])

  static func run(_ arguments: ParsedArguments) throws {
    let files = arguments.all("FILE")
    var table = RunTable(try HardwareCatalogue.shipped())
    for file in files { table.add(try CSVTable(try TextInput.text(of: file), name: file)) }
    guard !table.runs.isEmpty else {
      throw CommandError.input(
        path: files[0],
        problem: "has no row with gpus and tokens_per_s_per_gpu, step_time_s or predicted_step_time_s")
    }
    let name = URL(fileURLWithPath: files[0]).deletingPathExtension().lastPathComponent
    let sources = files.map { URL(fileURLWithPath: $0).lastPathComponent }
    let chart = RunChart(
      title: arguments.text("title") ?? name, source: "Runs of \(sources.joined(separator: ", "))",
      runs: table.runs, columns: table.columns, records: table.records)
    for (place, text) in try pictures(arguments, chart, beside: files[0]) {
      try place.write(Array(text().utf8))
      try StandardOutput.write("written: \(place.path)\n")
    }
    try StandardOutput.write("\(chart.counts)\n")
    if let accuracy = chart.accuracy { try StandardOutput.write("\(accuracy.text)\n") }
    for (reason, count) in table.skipped.sorted(by: { $0.key < $1.key }) {
      try StandardOutput.write("\(count.grouped) row\(count == 1 ? "" : "s") without a point: \(reason)\n")
    }
  }

  /// What is asked for and where it goes, all places checked before any is written.
  private static func pictures(
    _ arguments: ParsedArguments, _ chart: RunChart, beside file: String
  ) throws -> [(OutputPlace, () -> String)] {
    var pictures: [(OutputPlace, () -> String)] = []
    var page = arguments.text("html")
    if page == nil, ["svg", "heatmap", "pairs"].allSatisfy({ arguments.text($0) == nil }) {
      page = URL(fileURLWithPath: file).deletingPathExtension().path + ".html"
    }
    if let page {
      let library = try ChartLibrary.find()
      pictures.append(
        (
          try OutputPlace(page, .file(named: "chart.html")), { RunChartPage(chart, library: library).text }
        ))
    }
    if let path = arguments.text("svg") {
      pictures.append(
        (try OutputPlace(path, .file(named: "chart.svg")), { RunScatterSVG(chart).description }))
    }
    if let path = arguments.text("heatmap") {
      pictures.append(
        (
          try OutputPlace(path, .file(named: "heatmap.svg")), { BestConfigurationSVG(chart).description }
        ))
    }
    if let path = arguments.text("pairs") {
      guard chart.accuracy != nil else {
        throw UsageError("--pairs: no row has both a measured and a predicted step time")
      }
      pictures.append(
        (try OutputPlace(path, .file(named: "pairs.svg")), { RunPairsSVG(chart).description }))
    }
    return pictures
  }
}
