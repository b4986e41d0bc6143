import ApusConfiguration
import ApusCore
import Foundation

extension CostConstants {
  /// The documented values with those of a YAML text instead: one `name: number` a line, unknown names are
  /// errors. For trying another fit without building the program again.
  package init(yaml: String, name: String) throws(ConfigurationError) {
    var file = try SectionReader.document(yaml: yaml, name: name)
    var values: [String: Double] = [:]
    for constant in CostConstants().values {
      values[constant.name] = file.number(constant.name, .notNegative) ?? constant.value
    }
    try file.checkAll()
    do {
      self = try JSONDecoder().decode(CostConstants.self, from: JSONEncoder().encode(values))
    } catch {
      require(false, "constants do not survive JSON: \(error)")
      self.init()
    }
  }
}
