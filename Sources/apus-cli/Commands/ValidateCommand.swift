import ApusConfiguration
import ApusCore
import ApusForesight
import ApusReport
import Foundation

/// `apus validate`: predicts published runs and says how far off.
enum ValidateCommand: Command {
  static let name = "validate"
  static let summary = "Predict a table of measured runs and score the predictions."
  static let arguments = ArgumentsSpecification(
    positionals: [Positional("FILE", help: "Runs as CSV; docs/foresight.md describes the columns.")],
    options: [
      .value(
        "hardware", "FILE", repeated: true, help: "A hardware description in YAML that wins over the shipped."
      ),
      .value("constants", "FILE", help: "Values of the cost model's constants, one `name: number` a line."),
      .value("per-row", "OUT.csv", help: "Write the prediction of every row."),
      .flag("json", help: "Print one JSON object."),
    ])

  static func run(_ arguments: ParsedArguments) throws {
    let path = arguments.required("FILE")
    let table = try CSVTable(try TextInput.text(of: path), name: path)
    guard !table.rows.isEmpty else {
      throw CommandError.input(path: path, problem: "names columns and holds no runs")
    }
    if let only = table.columns.first, table.columns.count == 1, only.contains(where: { ";\t|".contains($0) })
    {
      throw CommandError.input(path: path, problem: "names one column, \(only); separate fields by commas")
    }
    var catalogue = try HardwareCatalogue.shipped()
    for file in arguments.all("hardware") {
      catalogue.add(try HardwareDescription(yaml: try TextInput.text(of: file), name: file))
    }
    var constants = CostConstants()
    if let file = arguments.text("constants") {
      constants = try CostConstants(yaml: try TextInput.text(of: file), name: file)
    }
    let report = ValidationReport(table, catalogue, constants)
    if let output = arguments.text("per-row") {
      do {
        try report.rowsCSV.write(toFile: output, atomically: true, encoding: .utf8)
      } catch {
        throw CommandError.output(path: output, problem: "\(error.localizedDescription)")
      }
    }
    let summary = ValidationSummary(report)
    if arguments.flag("json") {
      try StandardOutput.write(json: summary)
    } else {
      try print(ValidationText.text(summary), terminator: "")
    }
  }
}
