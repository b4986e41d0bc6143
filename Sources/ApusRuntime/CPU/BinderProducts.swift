import ApusCore
import ApusProgram
import CApusMatrix

extension Binder {
  func bindLinear(
    _ linear: Linear, _ call: Instruction, _ workspace: UnsafeMutableRawPointer?
  ) throws(RuntimeFailure) -> Kernel {
    let product = try product(ProductShape(linear, call), call.label)
    let (y, x, w) = (address(call.outputs[0].tensor), address(call.inputs[0]), address(call.inputs[1]))
    let bias = call.inputs.count > 2 ? address(call.inputs[2]) : nil
    return { _ in run(product, x, w, y, bias, workspace) }
  }

  func bindProduct(
    _ operation: Product, _ call: Instruction, _ workspace: UnsafeMutableRawPointer?
  ) throws(RuntimeFailure) -> Kernel {
    let shape = ProductShape(operation, call)
    let (c, a, b) = (address(call.outputs[0].tensor), address(call.inputs[0]), address(call.inputs[1]))
    let overwriting = try product(shape, call.label)
    let adding = try product(shape.accumulating(true), call.label)
    return {
      run(call.outputs[0].accumulates(microbatch: $0) ? adding : overwriting, a, b, c, nil, workspace)
    }
  }

  func product(_ shape: ProductShape, _ label: String) throws(RuntimeFailure) -> OpaquePointer {
    do { return try products.product(shape) } catch {
      throw .matrixLibrary(label: label, reason: error.reason)
    }
  }
}

/// Runs a product that was made for these operands.
func run(
  _ product: OpaquePointer, _ a: UnsafeRawPointer, _ b: UnsafeRawPointer, _ c: UnsafeMutableRawPointer,
  _ bias: UnsafeRawPointer?, _ scratch: UnsafeMutableRawPointer?
) {
  let status = apus_product_run(product, a, b, c, bias, scratch)
  guard status != 0 else { return }
  var message = [CChar](repeating: 0, count: 256)
  apus_product_fault(product, status, &message, Int64(message.count))
  require(false, String(decoding: message.prefix { $0 != 0 }.map(UInt8.init(bitPattern:)), as: UTF8.self))
}
