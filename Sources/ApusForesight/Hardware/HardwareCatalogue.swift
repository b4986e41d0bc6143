import ApusConfiguration

/// The descriptions known by name: those shipped and those that the user adds.
package struct HardwareCatalogue: Sendable {
  package private(set) var descriptions: [HardwareDescription]

  package init(_ descriptions: [HardwareDescription]) { self.descriptions = descriptions }

  /// Those shipped.
  package static func shipped() throws(ConfigurationError) -> HardwareCatalogue {
    var list: [HardwareDescription] = []
    for text in ShippedHardware.texts { list.append(try HardwareDescription(yaml: text, name: "shipped")) }
    return HardwareCatalogue(list)
  }

  /// Adds a description before the others, so that it wins over one of the same name.
  package mutating func add(_ description: HardwareDescription) { descriptions.insert(description, at: 0) }

  package var names: [String] { descriptions.map(\.name) }

  /// The description of a name as published rows write it: exact, then an alias, then the longest
  /// description whose name begins the text (`A100-40GB (DGX-A100 2020)`), small and capital letters alike.
  package func named(_ text: String) -> HardwareDescription? {
    let wanted = Self.key(text)
    func keys(_ d: HardwareDescription) -> [String] { ([d.name] + d.aliases).map(Self.key) }
    if let exact = descriptions.first(where: { keys($0).contains(wanted) }) { return exact }
    var best: (length: Int, description: HardwareDescription)?
    for description in descriptions {
      for key in keys(description) where wanted.hasPrefix(key) && key.count > best?.length ?? 0 {
        // An H1000 is no H100.
        guard !Self.cutsNumber(text, behind: key.count) else { continue }
        best = (key.count, description)
      }
    }
    return best?.description
  }

  /// Whether the first `count` letters and digits of a name end within a number.
  private static func cutsNumber(_ text: String, behind count: Int) -> Bool {
    var rest = Substring(text)
    var (left, last) = (count, Character(" "))
    while left > 0, let character = rest.popFirst() {
      guard character.isLetter || character.isNumber else { continue }
      (left, last) = (left - 1, character)
    }
    return last.isNumber && rest.first?.isNumber == true
  }

  private static func key(_ text: String) -> String {
    String(text.lowercased().filter { $0.isLetter || $0.isNumber })
  }
}
