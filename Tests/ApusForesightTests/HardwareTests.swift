import ApusConfiguration
import ApusCore
import ApusForesight
import Testing

@Suite struct HardwareTests {
  @Test func everyShippedDescriptionIsReadAndFound() throws {
    let catalogue = try HardwareCatalogue.shipped()
    #expect(Set(catalogue.names).count == catalogue.names.count)
    for name in catalogue.names { #expect(catalogue.named(name)?.name == name) }
    let h100 = try #require(catalogue.named("H100-80GB"))
    #expect(h100.peak(.bf16) == 989.4e12)
    #expect(h100.nodeLink.bandwidth == 450e9)
    #expect(h100.network.bandwidth == 400e9)
  }

  @Test(arguments: [
    ("A100-40GB (DGX-A100 2020)", "A100-40GB"), ("V100-SXM2-16GB", "V100-16GB"), ("H100", "H100-80GB"),
    ("v100-32gb (DGX-2)", "V100-32GB"), ("H100-96GB-HBM2e-500W", "H100-96GB-HBM2e-500W"),
    ("A100-80GB PCIe", "A100-PCIe"), ("H100 PCIe", "H100-PCIe"), ("H100 SXM5", "H100-80GB"),
  ])
  func namesAreFoundAsRowsWriteThem(text: String, name: String) throws {
    #expect(try HardwareCatalogue.shipped().named(text)?.name == name)
  }

  @Test func unknownNamesAreNotGuessed() throws {
    #expect(try HardwareCatalogue.shipped().named("MI300X") == nil)
  }

  @Test func aTypeThatADeviceLacksTakesTheNearest() throws {
    let v100 = try #require(try HardwareCatalogue.shipped().named("V100-32GB"))
    #expect(v100.peak(.bf16) == v100.peak(.fp16))
    #expect(v100.peak(.fp8) == v100.peak(.fp16))
  }

  @Test func allProblemsOfAFileAreTold() {
    let yaml = """
      name: mine
      architecture: hoper
      peak_tflops: {bf17: 3}
      sustained: 0.7
      memory_gib: -1
      wattage: 700
      """
    let error = #expect(throws: ConfigurationError.self) {
      try HardwareDescription(yaml: yaml, name: "mine.yaml")
    }
    let text = error?.description ?? ""
    for part in [
      "mine.yaml:2: architecture: \"hoper\" is not known; did you mean hopper?",
      "\"bf17\" is no element type",
      "memory_gib: -1 is out of range", "wattage: is an unknown key", "node_link: is missing",
    ] { #expect(text.contains(part), "\(part) in \(text)") }
  }

  @Test func theCurveGivesItsPointsAndALatency() throws {
    let h100 = try #require(try HardwareCatalogue.shipped().named("H100-80GB"))
    let curve = try #require(h100.curve)
    #expect(curve.bandwidth(.allReduce, nodes: 8) == 99.56e9)
    #expect(curve.bandwidth(.allGather, nodes: 200) == 11.04e9)
    let between = curve.bandwidth(.allReduce, nodes: 3)
    #expect(between < 361.75e9 && between > 160.14e9)
    // 256 MB at 69 GB/s over 8 nodes is 3.7 ms, of which 0.64 ms is bandwidth: about 0.4 ms a node.
    #expect((2e-4...5e-4).contains(curve.hopLatency(nodeBandwidth: 400e9)))
  }
}
