extension ShippedHardware {
  static let ampere = [
    a100(name: "A100-40GB", aliases: "A100-SXM4-40GB", memory: "39.39", bandwidth: "1555", link: "300"),
    a100(
      name: "A100-80GB", aliases: "A100, A100-SXM4-80GB", memory: "79.15", bandwidth: "2039", link: "300"),
    // Export model: the A100's chip with 8 instead of 12 links.
    a100(name: "A800-80GB", aliases: "A800", memory: "79.15", bandwidth: "2039", link: "200"),
    // 300 W, no NVLink between more than two.
    a100(
      name: "A100-PCIe", aliases: "A100 PCIe, A100-80GB PCIe, A100-PCIe-80GB", memory: "79.15",
      bandwidth: "1935", link: "24", linkName: "PCIe 4"),
  ]

  private static func a100(
    name: String, aliases: String, memory: String, bandwidth: String, link: String,
    linkName: String = "NVLink 3"
  ) -> String {
    """
    name: \(name)
    aliases: [\(aliases)]
    architecture: ampere
    peak_tflops: {fp32: 19.5, tf32: 156, fp16: 312, bf16: 312}   # DS A100 SXM
    sustained: 0.85                        # fit
    multiprocessors: 108                   # WP Ampere
    memory_gib: \(memory)                  # what the driver reports
    memory_gb_per_second: \(bandwidth)     # DS
    runtime_gib: 1.5                       # context and communicators, 1 to 2 GB (domain reference B1)
    launch_us: 3
    devices_per_node: 8
    node_link: {name: \(linkName), gb_per_second: \(link), latency_us: 5}            # DS: NVLinks of 25 GB/s
    network: {name: InfiniBand HDR, gbit_per_second: 1600, latency_us: 10}        # eight ports of 200 Gb/s
    """
  }
}
