import Foundation

/// The text of Chart.js, which a report carries within itself so that it opens without a network.
package struct ChartLibrary: Sendable {
  package let script: String
  package let path: String

  package init(script: String, path: String) {
    self.script = script
    self.path = path
  }

  /// Where the packages `libjs-chart.js` (Debian 12 and 13, Ubuntu 22.04 and 24.04) and
  /// `node-chart.js` put the library.
  package static let usualPaths = [
    "/usr/share/javascript/chart.js/chart.umd.js",
    "/usr/share/javascript/chart.js/chart.umd.min.js",
    "/usr/share/javascript/chart.js/chart.min.js",
    "/usr/share/javascript/chart.js/Chart.min.js",
    "/usr/share/nodejs/chart.js/dist/chart.umd.js",
    "/usr/share/nodejs/chart.js/dist/chart.min.js",
  ]

  /// The first file that is Chart.js of version 3 or later; older ones draw differently.
  ///
  /// - Throws: `ReportError.chartLibraryMissing`, which names the package to install.
  package static func find(in paths: [String] = usualPaths) throws(ReportError) -> ChartLibrary {
    for path in paths {
      guard let data = FileManager.default.contents(atPath: path) else { continue }
      let script = String(decoding: data, as: UTF8.self)
      // A script that closes its own element could not be carried within the page.
      if let version = majorVersion(of: script), version >= 3, !script.contains("</script") {
        return ChartLibrary(script: script, path: path)
      }
    }
    throw .chartLibraryMissing(searched: paths)
  }

  /// From the comment at the top: `Chart.js v3.9.1`.
  private static func majorVersion(of script: String) -> Int? {
    script.prefix(400).firstMatch(of: /Chart\.js v?([0-9]+)\./).flatMap { Int($0.1) }
  }
}
