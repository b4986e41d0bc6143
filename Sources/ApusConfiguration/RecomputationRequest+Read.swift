import ApusCore
import ApusProgram

extension RecomputationRequest {
  private static let key = "recomputation"
  private static let remedy =
    "write none, selective or full; {policy: full, layers: 0-5}, or a list of such; or {budget: 6 GiB}"

  /// Reads `training.recomputation`: a policy, a policy for some layers, a list of those, or a budget.
  ///
  /// - Parameter layerCount: layers of the model; nil when they are not known yet.
  init(reading reader: inout SectionReader, layerCount: Int?) {
    self = .none
    guard let node = reader.node(Self.key) else { return }
    switch node.content {
    case .scalar: self = .policy(reader.choice(Self.key, RecomputationPolicy.self) ?? .none)
    case .mapping:
      var nested = SectionReader(path: reader.dotted(Self.key), node: node, file: node.place.file ?? "")
      if nested.writes("budget") {
        let bytes = Self.readBudget(in: &nested)
        // What is refused is known.
        for other in ["policy", "layers"] where nested.node(other) != nil {
          nested.refuse(other, because: "cannot go with budget, which picks by itself")
        }
        if let bytes { self = .budget(bytes: bytes) }
      } else if nested.node("budget") == nil,
        let rule = LayerRecomputation(reading: &nested, layerCount: layerCount, needsLayers: false)
      {
        self = rule.layers.highest == nil ? .policy(rule.policy) : .layers([rule])
      }
      nested.reportUnknownKeys()
      reader.absorb(nested, under: Self.key)
    case .list(let items): self = Self.readRules(items, layerCount, in: &reader)
    }
  }

  private static func readRules(
    _ items: [YAMLNode], _ layerCount: Int?, in reader: inout SectionReader
  ) -> RecomputationRequest {
    var rules: [LayerRecomputation] = []
    for (index, item) in items.enumerated() {
      var nested = SectionReader(
        path: "\(reader.dotted(key))[\(index)]", node: item, file: item.place.file ?? "")
      if let rule = LayerRecomputation(reading: &nested, layerCount: layerCount, needsLayers: true) {
        rules.append(rule)
      }
      nested.reportUnknownKeys()
      reader.absorb(nested, under: key)
    }
    guard reader.isGood(key) else { return .none }
    if rules.isEmpty { reader.report(key, "is an empty list", remedy) }
    if let overlap = LayerSet.overlap(rules) {
      reader.report(
        key, "layer \(overlap.layer) is named by entries \(overlap.first) and \(overlap.second)",
        "name each layer once")
    }
    return .layers(rules)
  }

  private static func readBudget(in reader: inout SectionReader) -> Int? {
    guard let text = reader.text("budget") else {
      reader.reportMissing("budget", "write the bytes that the plan may take, such as 6 GiB")
      return nil
    }
    guard let size = ByteCount(text: text) else {
      reader.report(
        "budget", "\"\(text)\" is no size", "write a size such as 6 GiB, 800 MiB or 6e9 bytes as 6 GB")
      return nil
    }
    return size.bytes
  }

  var resolved: ResolvedValue {
    switch self {
    case .policy(let policy): return .text(policy.rawValue)
    case .budget(let bytes):
      var entries = ResolvedEntries()
      entries.add("budget", ByteCount(bytes).exactText)
      return .mapping(entries)
    case .layers(let rules):
      return .list(
        rules.map { rule in
          var entries = ResolvedEntries()
          entries.add("policy", rule.policy.rawValue)
          entries.add("layers", rule.layers.description)
          return .mapping(entries)
        })
    }
  }
}

extension LayerRecomputation {
  /// Reads `policy` and `layers`; without layers, where they may be absent, the set is empty.
  fileprivate init?(reading reader: inout SectionReader, layerCount: Int?, needsLayers: Bool) {
    let policy = reader.choice("policy", RecomputationPolicy.self)
    let layers = Self.readLayers(in: &reader, layerCount)
    reader.reportMissing("policy", "write none, selective or full")
    if needsLayers { reader.reportMissing("layers", "write the layers it is for, such as 0-5,8") }
    guard reader.problems.isEmpty, let policy else { return nil }
    self.init(policy, layers: layers ?? LayerSet([]))
  }

  /// `0-5,8`, one number, or a list of such.
  private static func readLayers(in reader: inout SectionReader, _ layerCount: Int?) -> LayerSet? {
    guard let node = reader.node("layers") else { return nil }
    let expected = "numbers and ranges counted from 0, such as 0-5,8"
    var texts: [String] = []
    switch node.content {
    case .scalar(let text, _): texts = [text]
    case .list(let items):
      for item in items {
        if case .scalar(let text, _) = item.content { texts.append(text) } else { texts.append("") }
      }
    case .mapping: break
    }
    guard !texts.isEmpty, let layers = LayerSet(text: texts.joined(separator: ",")) else {
      reader.reportType(node, "layers", expected)
      return nil
    }
    if let layerCount, let highest = layers.highest, highest >= layerCount {
      reader.report(
        "layers", "layer \(highest) does not exist: the model has \(layerCount)",
        "name layers from 0 to \(layerCount - 1)")
      return nil
    }
    return layers
  }
}
