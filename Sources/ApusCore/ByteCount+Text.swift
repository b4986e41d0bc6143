extension ByteCount {
  /// The units that a text may name, each with its bytes; upper and lower case are the same.
  private static let units: [(name: String, bytes: Double)] = [
    ("b", 1), ("kib", 0x1p10), ("mib", 0x1p20), ("gib", 0x1p30), ("tib", 0x1p40), ("kb", 1e3), ("mb", 1e6),
    ("gb", 1e9), ("tb", 1e12),
  ]

  /// Reads `6 GiB`, `1.5GiB`, `80 GB` or plain bytes, rounded down to a whole byte; nil for anything else and
  /// for less than one byte.
  package init?(text: String) {
    let letters = text.lowercased().filter { $0 != " " }
    let number = letters.prefix { $0.isNumber || $0 == "." || $0 == "_" }
    let name = letters.dropFirst(number.count)
    guard let unit = name.isEmpty ? 1 : Self.units.first(where: { $0.name == name })?.bytes,
      let value = Double(number.filter { $0 != "_" }), value * unit >= 1, value * unit < 0x1p62
    else { return nil }
    self.init(Int(value * unit))
  }

  /// The number with the largest binary unit that divides it: what `init(text:)` reads back exactly.
  package var exactText: String {
    for (name, shift) in [("TiB", 40), ("GiB", 30), ("MiB", 20), ("KiB", 10)] {
      if bytes > 0, bytes & ((1 << shift) - 1) == 0 { return "\(bytes >> shift) \(name)" }
    }
    return "\(bytes)"
  }
}
