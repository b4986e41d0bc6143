import CApusKernels
import CApusMatrix
import Testing

struct ProductRefused: Error {
  let message: String
}

/// One product to test: its dimensions, its form, and how many unused numbers follow each stored row.
struct ProductCase: Sendable, CustomTestStringConvertible {
  var m, n, k: Int
  var transposeA = false
  var transposeB = false
  var accumulate = false
  var hasBias = false
  var padding = 0
  /// Types of A, B, C and the bias.
  var types: [apus_element] = [APUS_F32, APUS_F32, APUS_F32, APUS_F32]

  var testDescription: String {
    "\(m) x \(n) x \(k)\(transposeA ? ", A transposed" : "")\(transposeB ? ", B transposed" : "")"
      + "\(accumulate ? ", accumulating" : "")\(hasBias ? ", bias" : ""), padding \(padding)"
      + ", types \(types.map(\.rawValue))"
  }

  var strideA: Int { (transposeA ? m : k) + padding }
  var strideB: Int { (transposeB ? k : n) + padding }
  var strideC: Int { n + padding }

  var shape: apus_product_shape {
    apus_product_shape(
      m: Int64(m), n: Int64(n), k: Int64(k), a_stride: Int64(strideA), b_stride: Int64(strideB),
      c_stride: Int64(strideC), transpose_a: transposeA ? 1 : 0, transpose_b: transposeB ? 1 : 0,
      accumulate: accumulate ? 1 : 0, has_bias: hasBias ? 1 : 0, a_type: types[0], b_type: types[1],
      c_type: types[2], bias_type: types[3])
  }

  /// The caller destroys what this returns.
  func create() throws(ProductRefused) -> OpaquePointer {
    var shape = shape
    var message = [CChar](repeating: 0, count: 256)
    if let product = apus_product_create(&shape, &message, Int64(message.count)) { return product }
    let text = message.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }
    throw ProductRefused(message: String(decoding: text, as: UTF8.self))
  }

  /// Runs the product once for each seed and compares every stored number of C, padding included.
  ///
  /// The bound is that of a float32 sum in any order (Higham 2002, section 3.1): terms times half a unit in
  /// the last place of one, times the sum of the absolute terms; a 16-bit C adds one rounding.
  func check(seeds: [UInt64] = [7]) throws {
    let product = try create()
    defer { apus_product_destroy(product) }
    let scratchBytes = Int(apus_product_scratch_bytes(product))
    var scratch = [UInt8](repeating: 0, count: scratchBytes + 1)
    for seed in seeds {
      var random = SplitMix(state: seed)
      let storedA = Stored(random.numbers(strideA * (transposeA ? k : m)), types[0])
      let storedB = Stored(random.numbers(strideB * (transposeB ? n : k)), types[1])
      let storedBias = Stored(random.numbers(n), types[3])
      var storedC = Stored(random.numbers(strideC * m), types[2])
      let (a, b, bias, before) = (storedA.numbers, storedB.numbers, storedBias.numbers, storedC.numbers)
      let status = apus_product_run(
        product, storedA.bytes, storedB.bytes, &storedC.bytes, hasBias ? storedBias.bytes : nil, &scratch)
      try #require(status == 0, "\(testDescription): status \(status)")
      let c = storedC.numbers
      var worst = 0.0
      for row in 0..<m {
        for column in 0..<strideC {
          let index = row * strideC + column
          guard column < n else {
            #expect(c[index] == before[index], "\(testDescription): wrote behind row \(row)")
            continue
          }
          let expected = element(row, column, a, b, start: Double(before[index]), bias: Double(bias[column]))
          let bound =
            Double(k + 2) * 0x1p-24 * expected.magnitude + storedC.rounding(of: expected.value)
          worst = max(worst, abs(Double(c[index]) - expected.value) / bound)
        }
      }
      #expect(worst <= 1, "\(testDescription): \(worst) times the error bound")
    }
  }

  /// One element of C in double precision, and the sum of the absolute values of its terms.
  private func element(
    _ row: Int, _ column: Int, _ a: [Float], _ b: [Float], start: Double, bias: Double
  ) -> (value: Double, magnitude: Double) {
    let first = (accumulate ? start : 0) + (hasBias ? bias : 0)
    var value = first
    var magnitude = (accumulate ? abs(start) : 0) + (hasBias ? abs(bias) : 0)
    for inner in 0..<k {
      let left = a[transposeA ? inner * strideA + row : row * strideA + inner]
      let right = b[transposeB ? column * strideB + inner : inner * strideB + column]
      value += Double(left) * Double(right)
      magnitude += abs(Double(left) * Double(right))
    }
    return (value, magnitude)
  }
}

/// Numbers as one element type stores them.
private struct Stored {
  var bytes: [UInt8]
  let half: HalfKernels?

  init(_ numbers: [Float], _ type: apus_element) {
    half = HalfKernels.all.first { $0.type == type }
    bytes =
      half.map { half in half.round(numbers).withUnsafeBytes { Array($0) } }
      ?? numbers.withUnsafeBytes { Array($0) }
  }

  var numbers: [Float] {
    bytes.withUnsafeBytes { raw in
      half.map { $0.widen(Array(raw.bindMemory(to: UInt16.self))) } ?? Array(raw.bindMemory(to: Float.self))
    }
  }

  /// What rounding a result near `value` to this type may change.
  func rounding(of value: Double) -> Double {
    half.map { $0.format.epsilon / 2 * 1.001 * abs(value) + $0.format.smallest / 2 } ?? 0
  }
}

/// Numbers in -1..<1 from a counter (Steele, Lea and Flood 2014, SplitMix64).
private struct SplitMix {
  var state: UInt64

  mutating func numbers(_ count: Int) -> [Float] {
    (0..<count).map { _ in
      state &+= 0x9E37_79B9_7F4A_7C15
      var z = state
      z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
      z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
      z ^= z >> 31
      return Float(Int32(truncatingIfNeeded: z >> 32)) * 0x1p-31
    }
  }
}
