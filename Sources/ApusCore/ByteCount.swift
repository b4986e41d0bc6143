/// A number of bytes, written with a binary unit: `59.49 GiB`.
package struct ByteCount: Hashable, Sendable, Comparable, CustomStringConvertible {
  package var bytes: Int

  package init(_ bytes: Int) { self.bytes = bytes }

  package static func < (a: ByteCount, b: ByteCount) -> Bool { a.bytes < b.bytes }

  /// Three or four significant digits and the largest binary unit that keeps the number at least 1.
  package var description: String {
    let units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"]
    var value = Double(bytes)
    var unit = 0
    while abs(value) >= 1024, unit < units.count - 1 {
      value /= 1024
      unit += 1
    }
    return unit == 0 ? "\(bytes) B" : "\(value.formatted(decimals: value >= 100 ? 1 : 2)) \(units[unit])"
  }
}
