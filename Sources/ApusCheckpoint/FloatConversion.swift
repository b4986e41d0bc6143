/// The float32 with the value of a bfloat16's bits: the same bits above sixteen zeros. Exact.
@inline(__always)
package func float32(bfloat16 bits: UInt16) -> Float {
  Float(bitPattern: UInt32(bits) << 16)
}

/// The bfloat16 bits nearest to a float32, ties to even; beyond the largest number infinity, a NaN made quiet.
@inline(__always)
package func bfloat16Bits(of number: Float) -> UInt16 {
  let bits = number.bitPattern
  if number.isNaN { return UInt16(truncatingIfNeeded: bits >> 16) | 0x40 }
  return UInt16(truncatingIfNeeded: (bits &+ 0x7FFF &+ (bits >> 16 & 1)) >> 16)
}

/// The float32 with the value of an IEEE 754 binary16's bits, in integer arithmetic. Exact for every
/// number, subnormal ones and infinities included; a NaN keeps its payload.
@inline(__always)
package func float32(float16 bits: UInt16) -> Float {
  let sign = UInt32(bits & 0x8000) << 16
  let exponent = UInt32(bits >> 10) & 0x1F
  let fraction = UInt32(bits & 0x3FF)
  switch exponent {
  case 0:
    // Zero or subnormal: fraction times 2^-24, which float32 holds as a normal number.
    let magnitude = Float(fraction) * 0x1p-24
    return Float(bitPattern: magnitude.bitPattern | sign)
  case 31:
    return Float(bitPattern: sign | 0x7F80_0000 | fraction << 13)
  default:
    return Float(bitPattern: sign | (exponent + 112) << 23 | fraction << 13)
  }
}

/// Converts `count` elements at `source`, of any alignment, into float32 numbers at `destination`.
///
/// F32 is copied, BF16 and F16 are exact, F64 rounds to nearest even.
/// - Returns: false, with nothing written, if `type` is not one of these four.
func convert(
  _ source: UnsafeRawPointer, as type: SafetensorsType, count: Int,
  into destination: UnsafeMutablePointer<Float>
) -> Bool {
  switch type {
  case .float32:
    UnsafeMutableRawPointer(destination).copyMemory(from: source, byteCount: count * 4)
  case .float64:
    for i in 0..<count {
      destination[i] = Float(source.loadUnaligned(fromByteOffset: i &* 8, as: Double.self))
    }
  case .bfloat16:
    for i in 0..<count {
      destination[i] = float32(bfloat16: source.loadUnaligned(fromByteOffset: i &* 2, as: UInt16.self))
    }
  case .float16:
    for i in 0..<count {
      destination[i] = float32(float16: source.loadUnaligned(fromByteOffset: i &* 2, as: UInt16.self))
    }
  default:
    return false
  }
  return true
}
