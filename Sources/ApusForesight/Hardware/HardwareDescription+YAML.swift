import ApusConfiguration

extension HardwareDescription {
  /// Reads a description; every key but `aliases`, `links_nodes`, `collectives` and `measured` must be there.
  ///
  /// - Parameter name: the file's name, which problems show.
  /// - Throws: all problems at once.
  package init(yaml: String, name: String) throws(ConfigurationError) {
    var file = try SectionReader.document(yaml: yaml, name: name)
    self.name = file.text("name") ?? ""
    aliases = file.texts("aliases") ?? []
    architecture = file.choice("architecture", Architecture.self) ?? .processor
    var peaks: [Precision: Double] = [:]
    for (key, value) in file.numbers("peak_tflops") ?? [:] {
      if let precision = Precision(rawValue: key) {
        peaks[precision] = value * 1e12
      } else {
        file.report(
          "peak_tflops", "\"\(key)\" is no element type",
          "valid are \(Precision.allCases.map(\.rawValue).joined(separator: ", "))")
      }
    }
    peakFLOPs = peaks
    sustained = file.number("sustained", .positive) ?? 1
    multiprocessors = file.integer("multiprocessors", 1...100_000) ?? 1
    memoryBytes = (file.number("memory_gib", .positive) ?? 0) * 0x1p30
    memoryBandwidth = (file.number("memory_gb_per_second", .positive) ?? 1) * 1e9
    runtimeBytes = (file.number("runtime_gib", .notNegative) ?? 0) * 0x1p30
    launchSeconds = (file.number("launch_us", .notNegative) ?? 0) * 1e-6
    devicesPerNode = file.integer("devices_per_node", 1...1024) ?? 1
    linksNodes = file.truth("links_nodes") ?? false
    nodeLink = Self.link("node_link", unit: "gb_per_second", bytes: 1e9, in: &file)
    network = Self.link("network", unit: "gbit_per_second", bytes: 1e9 / 8, in: &file)
    curve = Self.curve(in: &file)
    measured = MeasuredProcessor.read(in: &file)
    for key in [
      "name", "architecture", "peak_tflops", "sustained", "multiprocessors", "memory_gib",
      "memory_gb_per_second", "runtime_gib", "launch_us", "devices_per_node", "node_link", "network",
    ] {
      file.reportMissing(key, "write it as the shipped descriptions do")
    }
    try file.checkAll()
  }

  private static func link(
    _ key: String, unit: String, bytes: Double, in file: inout SectionReader
  ) -> Link {
    guard var section = file.section(key) else { return Link(name: "", bandwidth: 1, latency: 0) }
    let link = Link(
      name: section.text("name") ?? "", bandwidth: (section.number(unit, .positive) ?? 1) * bytes,
      latency: (section.number("latency_us", .notNegative) ?? 0) * 1e-6)
    for name in ["name", unit, "latency_us"] { section.reportMissing(name, "write it") }
    file.finish(section, under: key)
    return link
  }

  private static func curve(in file: inout SectionReader) -> CollectiveCurve? {
    guard var section = file.section("collectives") else { return nil }
    let message = (section.number("message_mib", .positive) ?? 1) * 0x1p20
    func list(_ key: String) -> [Double] {
      let values = (section.texts(key) ?? []).map { Double($0) ?? -1 }
      if values.isEmpty || values.contains(where: { $0 <= 0 }) {
        section.report(key, "is no list of numbers above 0", "write one number a point")
      }
      return values
    }
    let nodes = list("nodes").map { Int($0) }
    let rates = ["all_reduce_gb_per_second", "all_gather_gb_per_second", "reduce_scatter_gb_per_second"].map {
      key in
      let values = list(key).map { $0 * 1e9 }
      if values.count != nodes.count {
        section.report(key, "has \(values.count) numbers for \(nodes.count) node counts", "write as many")
      }
      return values
    }
    if nodes != nodes.sorted() { section.report("nodes", "is not ascending", "sort the points") }
    file.finish(section, under: "collectives")
    guard file.problems.isEmpty else { return nil }
    return CollectiveCurve(
      messageBytes: message, nodes: nodes, allReduce: rates[0], allGather: rates[1], reduceScatter: rates[2])
  }
}
