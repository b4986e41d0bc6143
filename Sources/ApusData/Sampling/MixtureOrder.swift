import ApusCore

/// Which source each sample of a mixture comes from: a pure function of the sample's index, evenly spread.
///
/// Sample n takes the source in whose share of [0, 1) the n-th number of a base-2 van der Corput sequence
/// lies, with its digits flipped by the seed. Any first n samples follow the weights to within about
/// log2(n) samples, and in blocks of 2^k as closely as 2^-k allows. How often a source came before n can be
/// counted without a walk: the numbers of an aligned block of 2^k are evenly spaced.
///
/// Source: Niederreiter 1992, "Random Number Generation and Quasi-Monte Carlo Methods", chapter 3.
package struct MixtureOrder: Sendable {
  private static let bits: UInt64 = 48

  /// Where each source's share ends, in units of 2^-48.
  private let ends: [UInt64]
  private let flip: UInt64

  package init(weights: [Double], seed: UInt64) {
    let total = weights.reduce(0, +)
    let whole = Double(1 << Self.bits)
    var (sum, ends): (Double, [UInt64]) = (0, [])
    for weight in weights {
      sum += weight
      ends.append(UInt64((sum / total * whole).rounded()))
    }
    ends[ends.count - 1] = 1 << Self.bits
    self.ends = ends
    flip = mix(seed) >> (64 - Self.bits)
  }

  /// The source of a sample, and how many samples before it came from the same source.
  package func source(of sample: Int) -> (source: Int, earlier: Int) {
    if ends.count == 1 { return (0, sample) }
    require(sample >= 0 && sample < 1 << Self.bits, "MixtureOrder: sample \(sample)")
    let place = Self.reversed(UInt64(sample)) ^ flip
    let source = ends.firstIndex { place < $0 }!
    let start = source == 0 ? 0 : ends[source - 1]
    return (source, count(before: sample, below: ends[source]) - count(before: sample, below: start))
  }

  private static func reversed(_ value: UInt64) -> UInt64 {
    var value = value
    for shift in [UInt64(1), 2, 4, 8, 16, 32] {
      let mask = Self.masks[shift.trailingZeroBitCount]
      value = (value >> shift & mask) | (value & mask) << shift
    }
    return value >> (64 - bits)
  }

  private static let masks: [UInt64] = [
    0x5555_5555_5555_5555, 0x3333_3333_3333_3333, 0x0f0f_0f0f_0f0f_0f0f, 0x00ff_00ff_00ff_00ff,
    0x0000_ffff_0000_ffff, 0x0000_0000_ffff_ffff,
  ]

  /// How many of the first `sample` numbers lie below a limit: the sum over the aligned blocks that make up
  /// 0..<sample.
  private func count(before sample: Int, below limit: UInt64) -> Int {
    var (total, start) = (0, UInt64(0))
    for bit in (0..<Self.bits).reversed() where UInt64(sample) >> bit & 1 == 1 {
      // The block's numbers are offset, offset + step, offset + 2 step, ...
      let step: UInt64 = 1 << (Self.bits - bit)
      let offset = (Self.reversed(start) ^ flip) & (step - 1)
      if limit > offset { total += Int((limit - offset - 1) / step) + 1 }
      start |= 1 << bit
    }
    return total
  }
}
