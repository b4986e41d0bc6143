import ApusCore
import ApusForesight
import Testing

@Suite struct CollectiveCostTests {
  private func h100(curve: Bool) throws -> HardwareDescription {
    var hardware = try #require(try HardwareCatalogue.shipped().named("H100-80GB"))
    if !curve { hardware.curve = nil }
    return hardware
  }

  /// A cluster without latency and with whole bandwidth.
  private func ideal() throws -> CollectiveCost {
    var hardware = try h100(curve: false)
    hardware.nodeLink.latency = 0
    hardware.network.latency = 0
    var constants = CostConstants()
    (constants.collectiveStart, constants.nodeLinkEfficiency, constants.networkEfficiency) = (0, 1, 1)
    return CollectiveCost(hardware: hardware, constants: constants)
  }

  @Test func aRingMovesTwoTimesTheTensorLessAShare() throws {
    let cost = try ideal()
    let node = RankPlacement(ranks: 8, stride: 1, devicesPerNode: 8)
    let seconds = cost.seconds(.allReduce, bytes: 1e9, node)
    #expect(abs(seconds - 2 * 7 / 8 * 1e9 / 450e9) < 1e-12)
    // All-reduce = reduce-scatter + all-gather (B11).
    let halves = cost.seconds(.reduceScatter, bytes: 1e9, node) + cost.seconds(.allGather, bytes: 1e9, node)
    #expect(abs(seconds - halves) < 1e-12)
  }

  @Test func groupsSideBySideShareTheNodesPorts() throws {
    let cost = try ideal()
    // Eight data groups of one rank a node each: an eighth of 400 GB/s.
    let strided = RankPlacement(ranks: 4, stride: 8, devicesPerNode: 8)
    #expect(strided.ranksPerNode == 1 && strided.nodes == 4)
    #expect(cost.bandwidth(.allReduce, strided) == 50e9)
    let whole = RankPlacement(ranks: 32, stride: 1, devicesPerNode: 8)
    #expect(whole.nodes == 4)
    #expect(cost.bandwidth(.allReduce, whole) == 400e9)
  }

  @Test func theMeasuredCurveComesBackAtItsOwnMessage() throws {
    var hardware = try h100(curve: true)
    let curve = try #require(hardware.curve)
    hardware.network.latency = curve.hopLatency(nodeBandwidth: hardware.network.bandwidth)
    var constants = CostConstants()
    constants.collectiveStart = 0
    let cost = CollectiveCost(hardware: hardware, constants: constants)
    for nodes in [2, 4, 8, 16] {
      let place = RankPlacement(ranks: 8 * nodes, stride: 1, devicesPerNode: 8)
      let n = Double(8 * nodes)
      let seconds = cost.seconds(.allGather, bytes: curve.messageBytes, place)
      let measured = (n - 1) / n * curve.messageBytes / curve.bandwidth(.allGather, nodes: nodes)
      #expect(abs(seconds / measured - 1) < 0.35, "\(nodes) nodes: \(seconds) and \(measured)")
    }
  }

  @Test func ranksLieAsThePublishedMapSays() {
    // B6: 16 ranks as 2 x 2 x 2 x 2, tensor neighbours 1 apart, context 2, pipeline 4, data 8.
    let layout = JobLayout(
      ParallelLayout(data: 2, tensor: 2, context: 2, pipeline: 2), microBatchSize: 1, microbatches: 2)
    let order = RankOrder.dataOutermost
    #expect([.tensor, .context, .pipeline, .data].map { order.stride(of: $0, in: layout) } == [1, 2, 4, 8])
    let other = RankOrder.pipelineOutermost
    #expect([.tensor, .context, .pipeline, .data].map { other.stride(of: $0, in: layout) } == [1, 2, 8, 4])
  }
}
