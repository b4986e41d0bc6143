import ApusConfiguration
import ApusModels

/// What a sweep runs, read from strict YAML: either a simulation over layouts, or real runs of a configuration with
/// changed values.
package struct SweepSpecification: Sendable {
  package var name: String
  package var work: Work

  package enum Work: Sendable {
    case simulate(SimulatedSweep)
    case run(RealSweep)
  }

  /// Reads the specification.
  ///
  /// - Parameter catalogue: hardware known by name.
  /// - Throws: all problems at once.
  package init(yaml: String, name file: String, catalogue: HardwareCatalogue) throws(ConfigurationError) {
    var document = try SectionReader.document(yaml: yaml, name: file)
    name = document.text("name") ?? "sweep"
    var work: Work?
    if var section = document.section("simulate") {
      work = .simulate(SimulatedSweep(&section, catalogue))
      document.finish(section, under: "simulate")
    }
    if var section = document.section("run") {
      if work != nil { document.report("run", "stands beside simulate", "keep one of the two") }
      work = .run(RealSweep(&section))
      document.finish(section, under: "run")
    }
    if work == nil { document.reportMissing("simulate", "write a section simulate or run") }
    try document.checkAll()
    self.work = work ?? .run(RealSweep(configuration: "", timeoutSeconds: 0, variations: []))
  }
}

/// Real runs: a configuration, and for each run the values that are set in it.
package struct RealSweep: Sendable {
  /// Path of the configuration, as written; relative to the specification.
  package var configuration: String
  /// After this a run is ended with everything that it started.
  package var timeoutSeconds: Double
  /// One list a run, `key=value`.
  package var variations: [[String]]

  package init(configuration: String, timeoutSeconds: Double, variations: [[String]]) {
    self.configuration = configuration
    self.timeoutSeconds = timeoutSeconds
    self.variations = variations
  }

  init(_ section: inout SectionReader) {
    configuration = section.text("configuration") ?? ""
    section.reportMissing("configuration", "name the configuration that is varied")
    timeoutSeconds = section.number("timeout_seconds", .positive) ?? 600
    var runs: [[String]] = []
    for crossed in section.listOfCrossedVariations("vary") ?? [] {
      var product: [[String]] = [[]]
      for (key, values) in crossed {
        product = product.flatMap { run in values.map { run + ["\(key)=\($0)"] } }
      }
      runs += product
    }
    for run in section.listOfVariations("list") ?? [] { runs.append(run.map { "\($0.key)=\($0.value)" }) }
    if runs.isEmpty { section.report("vary", "gives no run", "write `vary:` with lists, or `list:`") }
    variations = runs
  }
}
