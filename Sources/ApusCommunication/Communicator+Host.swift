import ApusCore

// Small things of the host, for the control plane and for tests. They copy; tensors go by `start`.
extension Communicator {
  /// Every rank's bytes become known to all, in order of rank. Lengths may differ.
  package func allGather(bytes: [UInt8], label: String = "") throws(CommunicationError) -> [[UInt8]] {
    let lengths = try allGather([Int32(bytes.count)], label: label).map { Int($0[0]) }
    let longest = lengths.max() ?? 0
    if longest == 0 { return lengths.map { _ in [] } }
    let padded = bytes + [UInt8](repeating: 0, count: longest - bytes.count)
    return zip(try allGather(padded, label: label), lengths).map { Array($0.prefix($1)) }
  }

  /// The root's bytes become known to all; the others' argument is not looked at.
  package func broadcast(bytes: [UInt8], root: Int = 0, label: String = "") throws(CommunicationError)
    -> [UInt8]
  {
    let length = try broadcast([Int32(bytes.count)], root: root, label: label)[0]
    var buffer = rank == root ? bytes : [UInt8](repeating: 0, count: Int(length))
    if length > 0 { try broadcast(into: &buffer, root: root, label: label) }
    return buffer
  }

  /// Everybody's block, in order of rank, on all ranks; blocks are equally long.
  package func allGather<Element: CollectiveElement>(
    _ block: [Element], label: String = ""
  ) throws(CommunicationError) -> [[Element]] {
    let (input, output) = (
      Buffer(copying: block), Buffer(copying: [Element](repeating: .zero, count: block.count * size))
    )
    try run(
      Collective(
        .allGather, from: input.address, to: output.address, count: block.count, type: Element.elementType,
        label: label))
    _ = input.take()
    let all = output.take()
    return (0..<size).map { Array(all[$0 * block.count..<($0 + 1) * block.count]) }
  }

  /// Everybody's elements on the first rank, in order of rank; the others get nil. Numbers of elements may differ.
  package func gather<Element: CollectiveElement>(
    _ elements: [Element], label: String = ""
  ) throws(CommunicationError) -> [[Element]]? {
    let counts = try allGather([Int32(elements.count)], label: label).map { Int($0[0]) }
    let longest = counts.max() ?? 0
    if longest == 0 { return rank == 0 ? counts.map { _ in [] } : nil }
    let padding = [Element](repeating: .zero, count: longest - elements.count)
    let input = Buffer(copying: elements + padding)
    let output = Buffer(copying: [Element](repeating: .zero, count: rank == 0 ? longest * size : 0))
    try run(
      Collective(
        .gather, from: input.address, to: rank == 0 ? output.address : nil, count: longest,
        type: Element.elementType, label: label))
    _ = input.take()
    let all = output.take()
    return rank == 0 ? counts.indices.map { Array(all[$0 * longest..<$0 * longest + counts[$0]]) } : nil
  }

  /// The root's elements on all ranks; the others' argument only says how many.
  package func broadcast<Element: CollectiveElement>(
    _ elements: [Element], root: Int = 0, label: String = ""
  ) throws(CommunicationError) -> [Element] {
    var copy = elements
    try broadcast(into: &copy, root: root, label: label)
    return copy
  }

  private func broadcast<Element: CollectiveElement>(
    into elements: inout [Element], root: Int, label: String
  ) throws(CommunicationError) {
    let buffer = Buffer(copying: elements)
    try run(
      Collective(
        .broadcast, to: buffer.address, count: elements.count, type: Element.elementType, peer: root,
        label: label))
    elements = buffer.take()
  }

  /// The sum or the maximum over the ranks, element by element, on all ranks.
  package func allReduce<Element: CollectiveElement>(
    _ elements: [Element], _ reduction: Reduction = .sum, label: String = ""
  ) throws(CommunicationError) -> [Element] {
    let buffer = Buffer(copying: elements)
    try run(
      Collective(
        .allReduce, from: buffer.address, to: buffer.address, count: elements.count,
        type: Element.elementType, reduction: reduction, label: label))
    return buffer.take()
  }
}

/// A number that collectives know.
package protocol CollectiveElement: Sendable {
  static var elementType: ElementType { get }
  static var zero: Self { get }
}

extension Float: CollectiveElement {
  package static var elementType: ElementType { .float32 }
}

extension Double: CollectiveElement {
  package static var elementType: ElementType { .float64 }
}

extension Int32: CollectiveElement {
  package static var elementType: ElementType { .int32 }
}

extension UInt8: CollectiveElement {
  package static var elementType: ElementType { .uint8 }
}

/// Elements at a fixed address. Memory is freed when the elements are taken, after the transfer: where a
/// transfer throws, another rank may still touch it, and it stays.
private struct Buffer<Element> {
  private let storage: UnsafeMutableBufferPointer<Element>
  private let count: Int

  init(copying elements: [Element]) {
    storage = .allocate(capacity: max(1, elements.count))
    _ = storage.initialize(from: elements)
    count = elements.count
  }

  var address: UnsafeMutableRawPointer { UnsafeMutableRawPointer(storage.baseAddress!) }

  func take() -> [Element] {
    defer { storage.deallocate() }
    return Array(storage.prefix(count))
  }
}
