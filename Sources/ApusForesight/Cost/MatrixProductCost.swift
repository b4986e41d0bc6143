/// Seconds of `C = A B` with `[m, k]` and `[k, n]`: a roofline with tile and wave quantisation.
///
/// C is cut into tiles, one a multiprocessor at a time; the last wave may be nearly empty. Small tiles fill
/// waves better but reuse less of what they load. A main loop over k has a prologue and an epilogue. The
/// cheapest tile is taken, as libraries choose, and memory bandwidth bounds the whole.
package struct MatrixProductCost: Sendable {
  let hardware: HardwareDescription
  let constants: CostConstants

  package init(hardware: HardwareDescription, constants: CostConstants) {
    self.hardware = hardware
    self.constants = constants
  }

  /// Tile shapes and the share of a multiprocessor's speed that their reuse allows.
  private static let tiles: [(m: Int, n: Int, speed: Double)] = [
    (256, 128, 1), (128, 256, 1), (128, 128, 0.94), (128, 64, 0.82), (64, 64, 0.66), (32, 32, 0.35),
  ]

  package func seconds(m: Int, n: Int, k: Int, _ precision: HardwareDescription.Precision, bytes: Double)
    -> Double
  {
    var peak = hardware.peak(precision) * hardware.sustained
    if precision == .fp8 { peak *= constants.fp8Efficiency }
    let units = hardware.multiprocessors
    var best = 0.0
    for tile in Self.tiles {
      let count = groups(of: tile.m, in: m) * groups(of: tile.n, in: n)
      let waves = groups(of: units, in: count)
      let useful = Double(m) * Double(n) / (Double(waves) * Double(units) * Double(tile.m) * Double(tile.n))
      best = max(best, useful * tile.speed)
    }
    let depth = Double(k) / (Double(k) + constants.innerHalf)
    let flops = 2 * Double(m) * Double(n) * Double(k)
    return max(
      flops / (peak * max(best, 1e-3) * depth),
      bytes / (hardware.memoryBandwidth * constants.memoryEfficiency))
  }
}
