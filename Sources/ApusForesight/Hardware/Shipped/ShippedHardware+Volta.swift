extension ShippedHardware {
  static let volta = [
    v100(name: "V100-32GB", aliases: "V100-SXM2-32GB, V100-SXM3-32GB", memory: "31.75"),
    v100(name: "V100-16GB", aliases: "V100-SXM2-16GB", memory: "15.78"),
  ]

  private static func v100(name: String, aliases: String, memory: String) -> String {
    """
    name: \(name)
    aliases: [\(aliases)]
    architecture: volta
    peak_tflops: {fp32: 15.7, fp16: 125}   # DS V100 SXM2
    sustained: 0.72                        # fit
    multiprocessors: 80                    # WP Volta
    memory_gib: \(memory)                  # what the driver reports
    memory_gb_per_second: 900              # DS
    runtime_gib: 1.2                       # context and communicators, 1 to 2 GB (domain reference B1)
    launch_us: 3
    devices_per_node: 8
    node_link: {name: NVLink 2, gb_per_second: 150, latency_us: 6}                # DS: 6 links of 25 GB/s
    network: {name: InfiniBand EDR, gbit_per_second: 400, latency_us: 10}         # four ports of 100 Gb/s
    """
  }
}
