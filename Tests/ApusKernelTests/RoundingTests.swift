import ApusCore
import ApusReference
import Testing

/// Rounding to 16-bit types as the interpreter does it.
@Suite struct RoundingTests {
  /// Every finite number of a type by its bits, in order, zero first.
  private func numbers(_ type: ElementType) -> [Double] {
    (0..<UInt16(0x8000)).compactMap { bits in
      let value: Double
      switch type {
      case .bfloat16: value = Double(Float(bitPattern: UInt32(bits) << 16))
      default:
        let (exponent, fraction) = (Int(bits >> 10), Double(bits & 0x3FF))
        if exponent == 31 { return nil }
        value = exponent == 0 ? fraction * 0x1p-24 : (1 + fraction / 1024) * exp2(exponent - 15)
      }
      return value.isFinite ? value : nil
    }
  }

  private func exp2(_ exponent: Int) -> Double { Double(sign: .plus, exponent: exponent, significand: 1) }

  @Test(arguments: [ElementType.bfloat16, .float16])
  func everyNumberAndEveryMiddle(_ type: ElementType) {
    let all = numbers(type)
    #expect(all.count == (type == .bfloat16 ? 255 * 128 : 31 * 1024))
    for (index, value) in all.enumerated() {
      #expect(type.rounded(value) == value && type.rounded(Float(-value)) == Float(-value))
      guard index + 1 < all.count else { continue }
      let next = all[index + 1]
      // The middle goes to the one whose last bit is zero; a hair beside it does not.
      let middle = (value + next) / 2
      #expect(type.rounded(middle) == (index.isMultiple(of: 2) ? value : next))
      #expect(type.rounded(middle.nextUp) == next && type.rounded(middle.nextDown) == value)
      #expect(type.rounded(-middle) == (index.isMultiple(of: 2) ? -value : -next))
    }
  }

  /// B10: the distance from 1 to the next number, the largest number, and what lies beyond.
  @Test func limits() {
    #expect(ElementType.float16.rounded(1 + 0x1p-11) == 1.0)
    #expect(ElementType.float16.rounded(1 + 0x1.8p-11) == 1 + 0x1p-10)
    #expect(ElementType.bfloat16.rounded(1 + 0x1p-8) == 1.0)
    #expect(ElementType.bfloat16.rounded(1 + 0x1.8p-8) == 1 + 0x1p-7)
    #expect(ElementType.float16.rounded(65519.0) == 65504)
    #expect(ElementType.float16.rounded(65520.0) == .infinity)
    #expect(ElementType.bfloat16.rounded(-Float.greatestFiniteMagnitude) == -.infinity)
    #expect(ElementType.bfloat16.rounded(Float.nan).isNaN)
    #expect(ElementType.float16.rounded(Float.infinity) == .infinity)
    #expect(ElementType.float32.rounded(0.1) == 0.1)
  }
}
