import ApusReference
import CApusKernels
import Testing

/// Conversions between float32 and the small formats, at every pattern and every midpoint.
struct FloatFormatTests {
  static let all: [FloatFormat] = [.bfloat16, .float16, .e4m3fn, .e5m2]

  /// The published numbers of Micikevicius et al. 2022, table 1, and of IEEE 754.
  @Test func limitsAreThePublishedOnes() {
    #expect(FloatFormat.e4m3fn.largest == 448 && FloatFormat.e4m3fn.epsilon == 0x1p-3)
    #expect(FloatFormat.e5m2.largest == 57_344 && FloatFormat.e5m2.epsilon == 0x1p-2)
    #expect(FloatFormat.e4m3fn.smallest == 0x1p-9 && FloatFormat.e5m2.smallest == 0x1p-16)
    #expect(FloatFormat.float16.largest == 65_504 && FloatFormat.float16.smallest == 0x1p-24)
    #expect(FloatFormat.bfloat16.largest == 0x1.FEp127 && FloatFormat.bfloat16.epsilon == 0x1p-7)
  }

  /// Between 1 and 2: 7 numbers of e4m3fn, 3 of e5m2.
  @Test func numbersBetweenOneAndTwo() {
    for (format, count) in [(FloatFormat.e4m3fn, 7), (.e5m2, 3)] {
      let between = (0..<format.patternCount).map(format.decode).filter { $0 > 1 && $0 < 2 }
      #expect(between.count == count)
    }
  }

  @Test(arguments: all)
  func everyPatternSurvives(_ format: FloatFormat) {
    var notNumbers = 0
    for bits in 0..<format.patternCount {
      let value = format.decode(bits)
      if value.isNaN {
        notNumbers += 1
        #expect(format.decode(format.encode(value)).isNaN)
      } else {
        #expect(format.encode(value) == bits, "\(format.name) \(bits)")
      }
    }
    #expect(notNumbers == (format.hasInfinity ? 2 * ((1 << format.fractionBits) - 1) : 2))
  }

  /// A midpoint goes to the even neighbour, anything beyond it to the nearer one.
  @Test(arguments: all)
  func midpointsRoundToEven(_ format: FloatFormat) {
    let top = format.encode(format.largest)
    for bits in 0..<top {
      let (low, high) = (format.decode(bits), format.decode(bits + 1))
      let middle = (low + high) / 2
      let even = bits % 2 == 0 ? bits : bits + 1
      for sign in [1.0, -1.0] {
        let signBit = sign < 0 ? format.patternCount / 2 : 0
        #expect(format.encode(sign * middle) == even | signBit)
        #expect(format.encode(sign * middle.nextDown) == bits | signBit)
        #expect(format.encode(sign * middle.nextUp) == bits + 1 | signBit)
      }
    }
  }

  @Test(arguments: all)
  func overflowIsInfiniteOrSaturates(_ format: FloatFormat) {
    let step = format.largest - format.decode(format.encode(format.largest) - 1)
    let limit = format.largest + step / 2
    for sign in [1.0, -1.0] {
      #expect(format.rounded(sign * limit.nextDown) == sign * format.largest)
      // The tie goes to the even fraction: the next power of two, or 448 itself.
      #expect(format.rounded(sign * limit) == sign * (format.hasInfinity ? .infinity : format.largest))
      for beyond in [limit.nextUp, 2 * limit, .infinity] {
        let value = format.rounded(sign * beyond)
        #expect(format.hasInfinity ? value == sign * .infinity : value.isNaN)
        #expect(format.rounded(sign * beyond, saturating: true) == sign * format.largest)
      }
    }
    #expect(format.rounded(.nan, saturating: true).isNaN)
  }

  /// The kernels, against the definition: all 65,536 patterns to float32 and back.
  @Test(arguments: HalfKernels.all)
  func kernelsWidenEveryPattern(_ half: HalfKernels) {
    let patterns = (0..<65_536).map { UInt16($0) }
    var wide = [Float](repeating: 0, count: patterns.count)
    half.copyToFloat(&wide, patterns, Int64(patterns.count), 0)
    var back = [UInt16](repeating: 0, count: patterns.count)
    half.copyFromFloat(&back, wide, Int64(patterns.count), 0)
    for bits in 0..<65_536 {
      let expected = half.format.decode(bits)
      if expected.isNaN {
        #expect(wide[bits].isNaN && half.format.decode(Int(back[bits])).isNaN, "\(half) \(bits)")
      } else {
        #expect(Double(wide[bits]) == expected && Int(back[bits]) == bits, "\(half) \(bits)")
      }
    }
  }

  /// Rounding at every midpoint and its float32 neighbours, of both signs, overflow and subnormals included.
  @Test(arguments: HalfKernels.all)
  func kernelsRoundEveryMidpoint(_ half: HalfKernels) {
    var inputs: [Float] = [.infinity, -.infinity, .greatestFiniteMagnitude, .leastNonzeroMagnitude, 0, -0.0]
    for bits in 0..<half.format.encode(half.format.largest) {
      let middle = Float((half.format.decode(bits) + half.format.decode(bits + 1)) / 2)
      for x in [middle, middle.nextUp, middle.nextDown] { inputs += [x, -x] }
    }
    let limit = Float(half.format.largest * (1 + half.format.epsilon / 4))
    inputs += [limit, limit.nextDown, limit.nextUp, -limit]
    var rounded = [UInt16](repeating: 0, count: inputs.count)
    half.copyFromFloat(&rounded, inputs, Int64(inputs.count), 0)
    for (x, bits) in zip(inputs, rounded) {
      #expect(Int(bits) == half.format.encode(Double(x)), "\(half) \(x)")
    }
  }

  /// NaNs of every kind stay NaN: quiet, signalling, with payloads only in the bits that are cut off.
  @Test(arguments: HalfKernels.all)
  func kernelsKeepNotANumber(_ half: HalfKernels) {
    let inputs = [0x7FC0_0000, 0x7F80_0001, 0xFF80_0001, 0x7FFF_FFFF, 0xFFFF_FFFF, 0x7F80_1000, 0x7FBF_FFFF]
      .map { Float(bitPattern: UInt32($0)) }
    var rounded = [UInt16](repeating: 0, count: inputs.count)
    half.copyFromFloat(&rounded, inputs, Int64(inputs.count), 0)
    #expect(rounded.allSatisfy { half.format.decode(Int($0)).isNaN })
  }
}
