/// What a row's free text says about the network between nodes.
package struct InterconnectText {
  /// Bits a second of a whole node, where the text names a rate.
  package private(set) var nodeBandwidth: Double?
  /// Whether the text names the network on which the shipped collective curve was measured.
  let namesCurve: Bool
  /// Whether devices of a node talk over PCI Express alone.
  package let namesPCIe: Bool

  /// Reads texts such as `EFA 3200 Gb/s between nodes`, `8x200 Gbps HDR IB per node`,
  /// `4x Omni-Path 100Gb links per node`, `400 Gb/s RDMA per GPU`.
  package init(_ text: String, devicesPerNode: Int) {
    namesCurve = text.contains("EFA")
    let words = text.lowercased()
    namesPCIe = words.contains("pcie") && !words.contains("nvlink") && !words.contains("nvswitch")
    let rate = /(?:(\d+)\s*x\s*(?:[A-Za-z\-]+\s+)?)?(\d+(?:\.\d+)?)\s*Gb(?:ps|it\/s|\/s)?/
    guard let match = text.firstMatch(of: rate), let value = Double(match.2) else { return }
    let count = match.1.flatMap { Double($0) } ?? 1
    let rest = text[match.range.upperBound...].prefix(16)
    let perDevice = rest.contains("per GPU") || rest.contains("per device")
    nodeBandwidth = value * count * (perDevice ? Double(devicesPerNode) : 1) * 1e9 / 8
  }
}
