/// What running instructions takes on one device, by what bounds them. Seconds, unless the name says otherwise.
package struct Price: Hashable, Sendable {
  /// Matrix products.
  package var product = 0.0
  package var attention = 0.0
  /// Operations that memory bandwidth bounds.
  package var memory = 0.0
  /// Passes over the logits.
  package var loss = 0.0
  /// Kernels started on the device.
  package var launches = 0.0
  /// FLOPs that the instructions do.
  package var flops = 0.0

  package init() {}

  package static func + (a: Price, b: Price) -> Price { a.combined(b, 1) }
  package static func - (a: Price, b: Price) -> Price { a.combined(b, -1) }
  package static func * (a: Price, factor: Double) -> Price { Price().combined(a, factor) }
  package static func += (a: inout Price, b: Price) { a = a + b }

  private func combined(_ other: Price, _ factor: Double) -> Price {
    var sum = self
    sum.product += factor * other.product
    sum.attention += factor * other.attention
    sum.memory += factor * other.memory
    sum.loss += factor * other.loss
    sum.launches += factor * other.launches
    sum.flops += factor * other.flops
    return sum
  }

  /// Seconds that the device is busy.
  package var device: Double { product + attention + memory + loss }
}
