import ApusCore
import ApusProgram
import CApusKernels
import CApusMatrix

/// Everything that distinguishes two matrix products for the library.
struct ProductShape: Hashable {
  var m, n, k: Int
  var aStride, bStride, cStride: Int
  var transposeA = false
  var transposeB = false
  var accumulate = false
  var hasBias = false
  /// The operands' types; a bias has that of B, which it belongs to.
  var aType = ElementType.float32
  var bType = ElementType.float32
  var cType = ElementType.float32

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

  /// The same product of operands of these types.
  func of(_ a: ElementType, _ b: ElementType, into c: ElementType) -> ProductShape {
    var shape = self
    (shape.aType, shape.bType, shape.cType) = (a, b, c)
    return shape
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
    (aType, bType, cType) = (x.type, instruction.inputs[1].type, y.type)
  }

  /// The shape of a `product` instruction.
  init(_ product: Product, _ instruction: Instruction) {
    let (a, c) = (instruction.inputs[0], instruction.outputs[0].tensor)
    self.init(
      m: c.rows, n: c.columns, k: product.transposeA ? a.rows : a.columns, transposeA: product.transposeA,
      transposeB: product.transposeB)
    (aType, bType, cType) = (a.type, instruction.inputs[1].type, c.type)
  }

  /// Logits, dx and dW of a chunk of the fused head.
  static func head(rows: Int, _ instruction: Instruction) -> (logits: Self, dx: Self, dw: Self) {
    let (x, w) = (instruction.inputs[0].type, instruction.inputs[1])
    func output(_ index: Int) -> ElementType {
      instruction.outputs.count > index ? instruction.outputs[index].tensor.type : .float32
    }
    let logits = Self(m: rows, n: w.rows, k: w.columns, transposeB: true).of(x, w.type, into: .float32)
    var dx = Self(m: rows, n: w.columns, k: w.rows).of(x, w.type, into: output(1))
    var dw = Self(m: w.rows, n: w.columns, k: rows, transposeA: true).of(x, x, into: output(2))
    dx.aStride = logitsStride(instruction)
    dw.aStride = logitsStride(instruction)
    return (logits, dx, dw)
  }

  /// Elements between rows of the logits' gradient, which lies in the float32 logits.
  static func logitsStride(_ instruction: Instruction) -> Int {
    instruction.inputs[1].rows * (4 / instruction.inputs[0].type.byteCount)
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
      has_bias: shape.hasBias ? 1 : 0, a_type: shape.aType.kernelType,
      b_type: shape.bType.kernelType, c_type: shape.cType.kernelType, bias_type: shape.bType.kernelType)
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
