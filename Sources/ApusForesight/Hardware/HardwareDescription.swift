import ApusCore

/// A kind of accelerator in its usual node and network: everything that prices depend on.
///
/// Bytes are bytes, rates are a second, times are seconds. Read from YAML (`HardwareDescription+YAML.swift`);
/// those that are shipped state the source of each number beside it.
package struct HardwareDescription: Hashable, Sendable {
  /// What a layout file or a row calls it: `H100-80GB`.
  package var name: String
  /// Other spellings.
  package var aliases: [String]
  package var architecture: Architecture
  /// Dense matrix FLOP/s by element type, the figure that utilisation is measured against.
  package var peakFLOPs: [Precision: Double]
  /// Share of the peak that large matrix products keep under the power limit.
  package var sustained: Double
  /// Units that work on tiles side by side (streaming multiprocessors; cores).
  package var multiprocessors: Int
  /// What a program may allocate on an idle device.
  package var memoryBytes: Double
  package var memoryBandwidth: Double
  /// What the driver, the libraries and the communicators take beside the program's tensors.
  package var runtimeBytes: Double
  /// The shortest time between two kernels of a stream.
  package var launchSeconds: Double
  /// Devices that the node link joins.
  package var devicesPerNode: Int
  /// Whether that link goes on between nodes, as in a rack: nodes of fewer devices then make no difference.
  package var linksNodes: Bool
  package var nodeLink: Link
  package var network: Link
  /// Measured collectives of whole nodes over this network, where there are some.
  package var curve: CollectiveCurve?
  /// What `apus bench machine` has measured, of a processor that training can run on.
  package var measured: MeasuredProcessor?

  /// A description that no file gives.
  package init(
    name: String, architecture: Architecture, peakFLOPs: [Precision: Double], sustained: Double,
    multiprocessors: Int, memoryBytes: Double, memoryBandwidth: Double, runtimeBytes: Double,
    launchSeconds: Double, devicesPerNode: Int, nodeLink: Link, network: Link, measured: MeasuredProcessor?
  ) {
    self.name = name
    aliases = []
    self.architecture = architecture
    self.peakFLOPs = peakFLOPs
    self.sustained = sustained
    self.multiprocessors = multiprocessors
    self.memoryBytes = memoryBytes
    self.memoryBandwidth = memoryBandwidth
    self.runtimeBytes = runtimeBytes
    self.launchSeconds = launchSeconds
    self.devicesPerNode = devicesPerNode
    linksNodes = false
    self.nodeLink = nodeLink
    self.network = network
    self.measured = measured
  }

  /// Generations that share kernels and their efficiency.
  package enum Architecture: String, Hashable, Sendable, CaseIterable {
    case volta, ampere, hopper, blackwell, processor
  }

  /// Element types that matrix units multiply.
  package enum Precision: String, Hashable, Sendable, CaseIterable {
    case fp32, tf32, fp16, bf16, fp8
  }

  /// A link as one device sees it.
  package struct Link: Hashable, Sendable {
    package var name: String
    /// Bytes a second in one direction: of a device inside a node; of the whole node between nodes.
    package var bandwidth: Double
    /// From one device to the next, software included.
    package var latency: Double

    package init(name: String, bandwidth: Double, latency: Double) {
      self.name = name
      self.bandwidth = bandwidth
      self.latency = latency
    }
  }

  /// The link inside a node that has none of the maker's own: PCI Express of sixteen lanes in the generation of
  /// the device, which neighbours share in pairs.
  package var expressLink: Link {
    switch architecture {
    case .volta: Link(name: "PCIe 3", bandwidth: 12e9, latency: 8e-6)
    case .ampere, .processor: Link(name: "PCIe 4", bandwidth: 24e9, latency: 8e-6)
    case .hopper, .blackwell: Link(name: "PCIe 5", bandwidth: 48e9, latency: 8e-6)
    }
  }

  /// The fastest attention kernel that trainers with hand-fused kernels run on it: those of the third generation
  /// need the asynchronous copies of Hopper.
  package var newestAttention: AttentionKernel {
    switch architecture {
    case .volta, .ampere, .processor: .flash2
    case .hopper, .blackwell: .flash3
    }
  }

  /// Peak of a type; types that the device lacks fall back to the nearest that it has.
  package func peak(_ precision: Precision) -> Double {
    let order: [Precision] =
      switch precision {
      case .fp8: [.fp8, .bf16, .fp16, .tf32, .fp32]
      case .bf16: [.bf16, .fp16, .tf32, .fp32]
      case .fp16: [.fp16, .bf16, .tf32, .fp32]
      case .tf32: [.tf32, .fp32]
      case .fp32: [.fp32]
      }
    for candidate in order {
      if let value = peakFLOPs[candidate] { return value }
    }
    return peakFLOPs.values.max() ?? 1
  }
}

/// Bus bandwidth of collectives over whole nodes, as measured with one message size (domain reference B5).
package struct CollectiveCurve: Hashable, Sendable {
  package var messageBytes: Double
  /// Nodes of each point, ascending, powers of two as a rule.
  package var nodes: [Int]
  /// Bus bandwidth in bytes a second at each point.
  package var allReduce: [Double]
  package var allGather: [Double]
  package var reduceScatter: [Double]

  /// Seconds from node to node that the gathers show beyond a ring's bandwidth: the median over the points.
  package func hopLatency(nodeBandwidth: Double) -> Double {
    let latencies = zip(nodes, allGather).compactMap { count, measured in
      count > 1 ? max(0, messageBytes / measured - messageBytes / nodeBandwidth) / Double(count) : nil
    }
    return median(latencies) ?? 0
  }

  /// Bus bandwidth at `count` nodes, interpolated between points on logarithmic axes and held at the ends.
  package func bandwidth(_ kind: CollectiveKind, nodes count: Int) -> Double {
    let values =
      switch kind {
      case .allReduce: allReduce
      case .allGather: allGather
      case .reduceScatter: reduceScatter
      default: allGather
      }
    guard let upper = nodes.firstIndex(where: { $0 >= count }) else { return values[values.count - 1] }
    if upper == 0 || nodes[upper] == count { return values[upper] }
    let (n0, n1) = (Double(nodes[upper - 1]), Double(nodes[upper]))
    let share = (logarithm(Double(count)) - logarithm(n0)) / (logarithm(n1) - logarithm(n0))
    return exponential((1 - share) * logarithm(values[upper - 1]) + share * logarithm(values[upper]))
  }
}
