extension ShippedHardware {
  static let hopper = [
    hopper(
      name: "H100-80GB", aliases: "H100, H100-SXM5-80GB, H100 SXM", memory: "79.1", bandwidth: "3350",
      sustained: "0.68", link: "450"),
    // 500 W instead of 700 W, HBM2e.
    hopper(
      name: "H100-96GB-HBM2e-500W", aliases: "H100-96GB", memory: "95.0", bandwidth: "2400",
      sustained: "0.60", link: "450"),
    hopper(
      name: "H200", aliases: "H200-141GB", memory: "139.8", bandwidth: "4800", sustained: "0.68", link: "450"),
    // Export model: the H100's chip with 16 instead of 36 lanes.
    hopper(
      name: "H800", aliases: "H800-80GB", memory: "79.1", bandwidth: "3350", sustained: "0.68", link: "200"),
    pciExpress,
  ]

  /// 350 W, HBM2e, no NVLink between more than two.
  private static let pciExpress = """
    name: H100-PCIe
    aliases: [H100 PCIe, H100-80GB PCIe, H100-PCIe-80GB]
    architecture: hopper
    peak_tflops: {fp32: 51.2, tf32: 378, fp16: 756.4, bf16: 756.4, fp8: 1512.8}   # DS H100 PCIe, dense
    sustained: 0.60                        # half the power of the SXM for three quarters of its peak: no run was fitted
    multiprocessors: 114                   # WP Hopper
    memory_gib: 79.1
    memory_gb_per_second: 2000             # DS
    runtime_gib: 2.0
    launch_us: 3
    devices_per_node: 8
    node_link: {name: PCIe 5, gb_per_second: 48, latency_us: 8}
    network: {name: InfiniBand NDR, gbit_per_second: 1600, latency_us: 10}
    """

  private static func hopper(
    name: String, aliases: String, memory: String, bandwidth: String, sustained: String, link: String
  ) -> String {
    """
    name: \(name)
    aliases: [\(aliases)]
    architecture: hopper
    peak_tflops: {fp32: 66.9, tf32: 494.7, fp16: 989.4, bf16: 989.4, fp8: 1978.9}   # DS H100 SXM, dense
    sustained: \(sustained)                # fit: the power limit
    multiprocessors: 132                   # WP Hopper; B8
    memory_gib: \(memory)                  # what the driver reports
    memory_gb_per_second: \(bandwidth)     # DS
    runtime_gib: 2.0                       # context and communicators, 1 to 2 GB (domain reference B1)
    launch_us: 3
    devices_per_node: 8
    node_link: {name: NVLink 4, gb_per_second: \(link), latency_us: 4}            # DS: 18 links of 25 GB/s
    network: {name: InfiniBand NDR, gbit_per_second: 3200, latency_us: 10}        # eight ports of 400 Gb/s
    collectives:                           # B5: 8 H100 a node, 256 MB
      message_mib: 244.14
      nodes: [1, 2, 4, 8, 16, 32, 64]
      all_reduce_gb_per_second: [435.97, 361.75, 160.14, 99.56, 84.74, 64.93, 32.94]
      all_gather_gb_per_second: [249.85, 184.61, 118.97, 69.00, 54.97, 27.97, 11.04]
      reduce_scatter_gb_per_second: [249.73, 181.55, 115.76, 68.55, 54.52, 27.94, 11.07]
    """
  }
}
