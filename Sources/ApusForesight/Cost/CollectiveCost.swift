import ApusCore

/// Seconds of collectives on the links of a cluster.
///
/// A ring over n ranks takes (n - 1) steps a pass (all-reduce: two passes) and moves (n - 1)/n of the tensor
/// over each link a pass (Patarasuk and Yuan 2009; domain reference B11). A tree all-reduce takes two times
/// log2 of the nodes steps between nodes (Sanders et al. 2009); the cheaper of both is taken, as
/// communication libraries choose. Where the cluster has a measured curve, it bounds the bandwidth.
package struct CollectiveCost: Sendable {
  let hardware: HardwareDescription
  let constants: CostConstants

  package init(hardware: HardwareDescription, constants: CostConstants) {
    self.hardware = hardware
    self.constants = constants
  }

  /// Seconds of one call among the ranks of `placement`.
  package func seconds(_ kind: CollectiveKind, bytes: Double, _ placement: RankPlacement) -> Double {
    guard placement.ranks > 1, bytes > 0 else { return 0 }
    if kind == .allToAll { return exchangeSeconds(bytes: bytes, placement) }
    let n = Double(placement.ranks)
    let passes: Double = kind == .allReduce ? 2 : 1
    let share = passes * (n - 1) / n
    let latency = self.latency(kind, placement)
    let bandwidth = self.bandwidth(kind, placement)
    if let curve = hardware.curve, placement.nodes > 1 {
      // The curve holds latency and bandwidth of its message; larger messages go no faster. Groups side by
      // side share what whole nodes reach, each at most its share of the ports.
      let measured = curve.bandwidth(kind, nodes: placement.nodes)
      let point = share * curve.messageBytes / measured
      return max(min(latency, point), share * bytes / min(bandwidth, measured))
    }
    return latency + share * bytes / bandwidth
  }

  /// Every rank sends each other its part of `bytes`, to those of its node and of other nodes at the same time; the
  /// devices of a node share its ports evenly.
  private func exchangeSeconds(bytes: Double, _ placement: RankPlacement) -> Double {
    let (n, near) = (Double(placement.ranks), Double(min(placement.ranksPerNode, placement.ranks)))
    let inner = bytes * (near - 1) / n / (hardware.nodeLink.bandwidth * constants.nodeLinkEfficiency)
    let latency = placement.nodes > 1 ? hardware.network.latency : hardware.nodeLink.latency
    let start = constants.collectiveStart + latency * constants.collectiveLatency
    guard placement.nodes > 1 else { return start + inner }
    let port = hardware.network.bandwidth * constants.networkEfficiency / Double(placement.devicesPerNode)
    return start + max(inner, bytes * (n - near) / n / port)
  }

  /// Latency of all steps.
  func latency(_ kind: CollectiveKind, _ placement: RankPlacement) -> Double {
    let passes: Double = kind == .allReduce ? 2 : 1
    let (n, nodes) = (Double(placement.ranks), Double(placement.nodes))
    let inner = hardware.nodeLink.latency * constants.collectiveLatency
    let outer = hardware.network.latency * constants.collectiveLatency
    if nodes <= 1 { return constants.collectiveStart + passes * (n - 1) * inner }
    let ring = passes * ((n - nodes) * inner + nodes * outer)
    // A tree between nodes, a chain inside each.
    let tree = passes * (Double(placement.ranksPerNode - 1) * inner + 2 * (logarithm(nodes) / 0.6931) * outer)
    return constants.collectiveStart + (kind == .allReduce ? min(ring, tree) : ring)
  }

  /// Bus bandwidth of a group without a measured curve.
  package func bandwidth(_ kind: CollectiveKind, _ placement: RankPlacement) -> Double {
    let inner = hardware.nodeLink.bandwidth * constants.nodeLinkEfficiency
    guard placement.nodes > 1 else { return inner }
    // The groups that lie side by side in a node share its ports.
    let share = Double(placement.ranksPerNode) / Double(placement.devicesPerNode)
    let outer = hardware.network.bandwidth * constants.networkEfficiency * share
    return min(inner, outer)
  }

  /// One message from a device to another.
  package func sendSeconds(bytes: Double, crossesNodes: Bool) -> Double {
    let link = crossesNodes ? hardware.network : hardware.nodeLink
    // Every device of a node sends at the same time, so each has its share of the ports.
    let bandwidth =
      crossesNodes
      ? link.bandwidth * constants.networkEfficiency / Double(hardware.devicesPerNode)
      : link.bandwidth * constants.nodeLinkEfficiency
    return constants.collectiveStart + link.latency * constants.collectiveLatency + bytes / bandwidth
  }
}
