import ApusProgram
import CApusMatrix

/// Everything that distinguishes two matrix products for the library.
struct ProductShape: Hashable {
  var m, n, k: Int
  var aStride, bStride, cStride: Int
  var transposeA = false
  var transposeB = false
  var accumulate = false
  var hasBias = false

  /// `C (+)= op(A) op(B) (+ bias)` with dense operands as stored.
  init(
    m: Int, n: Int, k: Int, transposeA: Bool = false, transposeB: Bool = false, accumulate: Bool = false,
    hasBias: Bool = false
  ) {
    (self.m, self.n, self.k) = (m, n, k)
    (aStride, bStride, cStride) = (transposeA ? m : k, transposeB ? k : n, n)
    (self.transposeA, self.transposeB) = (transposeA, transposeB)
    (self.accumulate, self.hasBias) = (accumulate, hasBias)
  }

  func accumulating(_ accumulate: Bool) -> ProductShape {
    var shape = self
    shape.accumulate = accumulate
    return shape
  }

  /// The shape of a `linear` instruction.
  init(_ linear: Linear, _ instruction: Instruction) {
    let (x, y) = (instruction.inputs[0], instruction.outputs[0].tensor)
    self.init(
      m: x.rows, n: y.columns, k: x.columns, transposeB: linear.layout == .outputMajor,
      hasBias: instruction.inputs.count > 2)
  }

  /// The shape of a `product` instruction.
  init(_ product: Product, _ instruction: Instruction) {
    let (a, c) = (instruction.inputs[0], instruction.outputs[0].tensor)
    self.init(
      m: c.rows, n: c.columns, k: product.transposeA ? a.rows : a.columns, transposeA: product.transposeA,
      transposeB: product.transposeB)
  }

  /// Logits, dx and dW of a chunk of the fused head.
  static func head(rows: Int, _ instruction: Instruction) -> (logits: Self, dx: Self, dw: Self) {
    let w = instruction.inputs[1]
    return (
      Self(m: rows, n: w.rows, k: w.columns, transposeB: true), Self(m: rows, n: w.columns, k: w.rows),
      Self(m: w.rows, n: w.columns, k: rows, transposeA: true)
    )
  }

  /// Every product that running `instruction` may take.
  static func all(of instruction: Instruction) -> [ProductShape] {
    switch instruction.op {
    case .linear(let linear): return [Self(linear, instruction)]
    case .product(let product):
      let shape = Self(product, instruction)
      switch instruction.outputs[0].mode {
      case .overwrite: return [shape]
      case .accumulate: return [shape.accumulating(true)]
      case .accumulateAfterFirstMicrobatch: return [shape, shape.accumulating(true)]
      }
    case .headLoss, .headLossGradient:
      let withGradient = instruction.outputs.count > 1
      return HeadChunks(instruction).ranges.flatMap { range in
        let head = Self.head(rows: range.count, instruction)
        return withGradient ? [head.logits, head.dx, head.dw, head.dw.accumulating(true)] : [head.logits]
      }
    default: return []
    }
  }
}

/// Products of the matrix library, made once a shape. One thread uses a cache.
package final class ProductCache {
  private var products: [ProductShape: OpaquePointer] = [:]

  package init() {}

  deinit {
    for product in products.values { apus_product_destroy(product) }
  }

  /// The library's product for `shape`; throws the library's reason.
  func product(_ shape: ProductShape) throws(ProductRefusal) -> OpaquePointer {
    if let present = products[shape] { return present }
    var description = apus_product_shape(
      m: Int64(shape.m), n: Int64(shape.n), k: Int64(shape.k), a_stride: Int64(shape.aStride),
      b_stride: Int64(shape.bStride), c_stride: Int64(shape.cStride), transpose_a: shape.transposeA ? 1 : 0,
      transpose_b: shape.transposeB ? 1 : 0, accumulate: shape.accumulate ? 1 : 0,
      has_bias: shape.hasBias ? 1 : 0, a_type: APUS_F32, b_type: APUS_F32, c_type: APUS_F32,
      bias_type: APUS_F32)
    var message = [CChar](repeating: 0, count: 256)
    guard let product = apus_product_create(&description, &message, Int64(message.count)) else {
      throw ProductRefusal(
        reason: String(decoding: message.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self))
    }
    products[shape] = product
    return product
  }
}

/// The matrix library's reason for refusing a product.
struct ProductRefusal: Error {
  var reason: String
}
