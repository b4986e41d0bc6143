extension ShippedHardware {
  static let blackwell = [
    blackwell(name: "B200", aliases: "B200-180GB", bf16: "2250", fp8: "4500", memory: "178.4", devices: "8"),
    blackwell(
      name: "GB200", aliases: "GB200-NVL72", bf16: "2500", fp8: "5000", memory: "184.0", devices: "72"),
    blackwell(
      name: "GB300", aliases: "GB300-NVL72", bf16: "2500", fp8: "5000", memory: "277.0", devices: "72"),
  ]

  private static func blackwell(
    name: String, aliases: String, bf16: String, fp8: String, memory: String, devices: String
  ) -> String {
    """
    name: \(name)
    aliases: [\(aliases)]
    architecture: blackwell
    peak_tflops: {fp32: 80, tf32: 1125, fp16: \(bf16), bf16: \(bf16), fp8: \(fp8)}   # DS, dense
    sustained: 0.68                        # as Hopper: no run was fitted
    multiprocessors: 148                   # WP Blackwell
    memory_gib: \(memory)                  # DS less what the driver keeps
    memory_gb_per_second: 8000             # DS
    runtime_gib: 2.5
    launch_us: 3
    devices_per_node: \(devices)
    links_nodes: \(devices == "72")            # a rack of 72 in trays of 4
    node_link: {name: NVLink 5, gb_per_second: 900, latency_us: 4}                # DS: 18 links of 50 GB/s
    network: {name: InfiniBand NDR, gbit_per_second: \(devices == "72" ? "28800" : "3200"), latency_us: 10}
    """
  }
}
