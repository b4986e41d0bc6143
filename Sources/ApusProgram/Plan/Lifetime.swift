/// First and last instruction that touch a storage, counted through a group's segments.
package struct Lifetime: Hashable, Sendable {
  package var first: Int
  package var last: Int

  package init(first: Int, last: Int) {
    self.first = first
    self.last = last
  }

  package func overlaps(_ other: Lifetime) -> Bool { first <= other.last && other.first <= last }
}

/// Storages that share one place because an operation may work in place, with their common lifetime.
package struct Block: Hashable {
  package var storages: [Int]
  package var lifetime: Lifetime
  package var byteCount: Int

  package init(storages: [Int], lifetime: Lifetime, byteCount: Int) {
    self.storages = storages
    self.lifetime = lifetime
    self.byteCount = byteCount
  }
}

/// Lifetimes of a group's transient storages, with in-place pairs joined.
struct GroupLifetimes {
  private(set) var blocks: [Block] = []

  init(_ segments: [Segment], storages: [Storage]) {
    let instructions = segments.flatMap(\.instructions)
    var lifetimes: [Int: Lifetime] = [:]
    for (index, instruction) in instructions.enumerated() {
      for tensor in instruction.inputs + instruction.outputs.map(\.tensor)
      where !storages[tensor.storage].isPersistent {
        lifetimes[tensor.storage, default: Lifetime(first: index, last: index)].last = index
      }
    }
    var blockOf: [Int: Int] = [:]
    for (index, instruction) in instructions.enumerated() {
      for (position, output) in instruction.outputs.enumerated() {
        let storage = output.tensor.storage
        guard let lifetime = lifetimes[storage], lifetime.first == index else { continue }
        let host =
          output.mode == .overwrite
          ? Self.host(of: position, in: instruction, at: index, blocks, blockOf, storages) : nil
        if let host {
          blocks[host].storages.append(storage)
          blocks[host].lifetime.last = max(blocks[host].lifetime.last, lifetime.last)
          blockOf[storage] = host
        } else if blockOf[storage] == nil {
          blockOf[storage] = blocks.count
          blocks.append(
            Block(storages: [storage], lifetime: lifetime, byteCount: storages[storage].byteCount))
        }
      }
    }
  }

  /// The block of an input that `output` may take over: permitted, of the same size, not used later, and
  /// read by this instruction only through that one input.
  private static func host(
    of output: Int, in instruction: Instruction, at index: Int, _ blocks: [Block], _ blockOf: [Int: Int],
    _ storages: [Storage]
  ) -> Int? {
    for permission in instruction.op.operation.inPlace where permission.output == output {
      let input = instruction.inputs[permission.input]
      guard let block = blockOf[input.storage], blocks[block].lifetime.last == index,
        blocks[block].byteCount == storages[instruction.outputs[output].tensor.storage].byteCount,
        input.byteCount == blocks[block].byteCount,
        !instruction.outputs.contains(where: { blockOf[$0.tensor.storage] == block })
      else { continue }
      let readers = instruction.inputs.filter { blockOf[$0.storage] == block }
      if readers.count == 1 { return block }
    }
    return nil
  }
}
