import ApusConfiguration
import ApusCore

extension MeasuredProcessor {
  /// Reads the section `measured` of a description; nil where there is none.
  static func read(in file: inout SectionReader) -> MeasuredProcessor? {
    guard var section = file.section("measured") else { return nil }
    let names = section.words("sharings") ?? []
    section.reportMissing("sharings", "list ranks x threads, as in [1x2, 2x1]")
    let sharings = names.compactMap { sharing($0, in: &section) }
    file.finish(section, under: "measured")
    return MeasuredProcessor(sharings)
  }

  private static func sharing(_ name: String, in section: inout SectionReader) -> Sharing? {
    let parts = name.split(separator: "x").map { Int($0) ?? 0 }
    guard parts.count == 2, parts.allSatisfy({ $0 > 0 }) else {
      section.report("sharings", "\"\(name)\" is no sharing", "write ranks x threads, as in 2x1")
      return nil
    }
    guard var nested = section.section(name) else {
      section.reportMissing(name, "write cache_mib, step_us and curves")
      return nil
    }
    let cache = nested.number("cache_mib", .positive) ?? 1
    let step = nested.number("step_us", .notNegative) ?? 0
    var curves: [String: MeasuredCurve] = [:]
    for (kind, texts) in nested.variations("curves") ?? [] {
      let factors = texts.map { Double($0) ?? -1 }
      if factors.count != InstructionWork.Term.allCases.count || factors.contains(where: { !($0 >= 0) }) {
        nested.report(
          "curves", "that of \"\(kind)\" is \(texts.joined(separator: ", "))",
          "write \(InstructionWork.Term.allCases.count) numbers that are not negative")
      }
      curves[kind] = MeasuredCurve(factors: factors)
    }
    for key in ["cache_mib", "step_us", "curves"] { nested.reportMissing(key, "write it") }
    section.finish(nested, under: name)
    return Sharing(
      ranks: parts[0], threads: parts[1], cacheBytes: Int(cache * 0x1p20), stepSeconds: step * 1e-6,
      curves: curves)
  }

  /// The section as `read` takes it.
  var yaml: String {
    var lines = [
      "measured:",
      "  # Ranks side by side x threads of each.",
      "  sharings: [\(sharings.map(\.name).joined(separator: ", "))]",
    ]
    for sharing in sharings {
      lines += [
        "  \(sharing.name):", "    cache_mib: \((Double(sharing.cacheBytes) / 0x1p20).significant)",
        "    # Microseconds of a step outside its instructions.",
        "    step_us: \((sharing.stepSeconds * 1e6).significant)",
        "    # Seconds a call, a FLOP, a byte of the first operand, of the second, of the result,",
        "    # a byte from beyond the cache, an exponential.", "    curves:",
      ]
      for (kind, curve) in sharing.curves.sorted(by: { $0.key < $1.key }) {
        lines.append("      \(kind): [\(curve.factors.map(\.significant).joined(separator: ", "))]")
      }
    }
    return lines.joined(separator: "\n") + "\n"
  }
}

extension HardwareDescription {
  /// The description as the reader takes it.
  package var yaml: String {
    let peaks = Precision.allCases.compactMap { precision in
      peakFLOPs[precision].map { "\(precision.rawValue): \(($0 / 1e12).significant)" }
    }
    return """
      name: \(name)
      architecture: \(architecture.rawValue)
      peak_tflops: {\(peaks.joined(separator: ", "))}
      sustained: \(sustained.significant)
      multiprocessors: \(multiprocessors)
      memory_gib: \((memoryBytes / 0x1p30).significant)
      memory_gb_per_second: \((memoryBandwidth / 1e9).significant)
      runtime_gib: \((runtimeBytes / 0x1p30).significant)
      launch_us: \((launchSeconds * 1e6).significant)
      devices_per_node: \(devicesPerNode)
      node_link: {name: \(nodeLink.name), gb_per_second: \((nodeLink.bandwidth / 1e9).significant), \
      latency_us: \((nodeLink.latency * 1e6).significant)}
      network: {name: \(network.name), gbit_per_second: \((network.bandwidth * 8 / 1e9).significant), \
      latency_us: \((network.latency * 1e6).significant)}

      """ + (measured?.yaml ?? "")
  }
}

extension Double {
  /// Five significant digits: no measurement has more.
  fileprivate var significant: String {
    guard self != 0 else { return "0" }
    let exponent = decade(self)
    if (-3...5).contains(exponent) { return formatted(decimals: max(0, 4 - exponent)) }
    return "\((self / power(10, Double(exponent))).formatted(decimals: 4))e\(exponent)"
  }
}
