import ApusForesight
import Testing

@Suite struct MatrixProductCostTests {
  private func cost() throws -> (MatrixProductCost, HardwareDescription) {
    let hardware = try #require(try HardwareCatalogue.shipped().named("A100-80GB"))
    return (MatrixProductCost(hardware: hardware, constants: CostConstants()), hardware)
  }

  @Test func aLargeProductReachesMostOfWhatTheDeviceSustains() throws {
    let (cost, hardware) = try cost()
    let n = 8192
    let seconds = cost.seconds(m: n, n: n, k: n, .bf16, bytes: 6 * Double(n * n))
    let share = 2 * Double(n) * Double(n) * Double(n) / seconds / (hardware.peak(.bf16) * hardware.sustained)
    #expect((0.9...1).contains(share), "\(share)")
  }

  /// One tile more than a wave costs a second wave of the large tiles.
  @Test func theLastWaveCounts() throws {
    let (cost, hardware) = try cost()
    func seconds(_ tiles: Int) -> Double {
      cost.seconds(m: 256 * tiles, n: 128, k: 4096, .bf16, bytes: 0)
    }
    let full = seconds(hardware.multiprocessors)
    let over = seconds(hardware.multiprocessors + 1)
    #expect(over > 1.05 * full)
    #expect(seconds(2 * hardware.multiprocessors) < 1.95 * over)
  }

  @Test func aThinProductIsBoundByMemory() throws {
    let (cost, hardware) = try cost()
    let bytes = 2 * (8192.0 * 8192 + 2 * 8192)
    let seconds = cost.seconds(m: 1, n: 8192, k: 8192, .bf16, bytes: bytes)
    #expect(seconds >= bytes / hardware.memoryBandwidth)
  }
}
