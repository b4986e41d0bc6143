import Foundation

/// What can go wrong while a run reports about itself.
package enum ReportError: Error, Equatable, Sendable, CustomStringConvertible {
  /// The operating system refused; `code` is its `errno`.
  case system(action: String, path: String, code: Int32)
  /// A line of a metrics file, not the last one, is no step record.
  case malformedMetrics(path: String, line: Int, reason: String)
  /// Chart.js is not where the packages of Debian and Ubuntu put it.
  case chartLibraryMissing(searched: [String])

  package var description: String {
    switch self {
    case .system(let action, let path, let code):
      "cannot \(action) \(path): \(String(cString: strerror(code)))"
    case .malformedMetrics(let path, let line, let reason):
      "\(path), line \(line): not a step record (\(reason)); remove that line, or start a new run folder"
    case .chartLibraryMissing(let searched):
      "Chart.js 3 or later not found (looked at \(searched.joined(separator: ", "))); "
        + "install it with: apt-get install libjs-chart.js"
    }
  }
}
