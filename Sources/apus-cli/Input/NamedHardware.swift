import ApusConfiguration
import ApusCore
import ApusForesight
import ApusTraining
import Foundation

/// Hardware as a command line names it: shipped, in a file, or this machine.
enum NamedHardware {
  /// What options say about their value.
  static let help = "A description that is shipped, a file in YAML, or this-machine, which is measured now."

  /// - Parameter precisions: what is measured where the name is this machine's.
  static func description(_ name: String, _ precisions: [PrecisionPolicy]) throws -> HardwareDescription {
    if name == ThisMachine.name { return try measured(precisions) }
    if isFile(name) { return try read(name) }
    let catalogue = try HardwareCatalogue.shipped()
    guard let known = catalogue.named(name) else {
      let near = nearestName(to: name, in: catalogue.names).map { "did you mean \($0)? " } ?? ""
      throw UsageError(
        "hardware \(name) is not described; \(near)known are \(catalogue.names.joined(separator: ", ")), "
          + "\(ThisMachine.name), or a file")
    }
    return known
  }

  static func isFile(_ name: String) -> Bool {
    name.contains("/") || name.hasSuffix(".yaml") || name.hasSuffix(".yml")
      || FileManager.default.fileExists(atPath: name)
  }

  static func read(_ path: String) throws -> HardwareDescription {
    try HardwareDescription(yaml: try TextInput.text(of: path), name: path)
  }

  /// Measures this machine and says how long that took.
  static func measured(_ precisions: [PrecisionPolicy]) throws -> HardwareDescription {
    let watch = Stopwatch()
    let description = try ThisMachine.describe(precisions)
    StandardError.note(
      "this machine measured in \(watch.seconds.formatted(decimals: 1)) s; apus bench machine --hardware FILE "
        + "keeps what it finds")
    return description
  }
}
