/// What backward reads of a recorded forward pass, and to which layer each instruction belongs.
package struct SavedValues {
  package let forward: [Instruction]
  /// Position of the forward instruction that writes a storage.
  package let producers: [Int: Int]
  /// Forward storages that backward reads.
  package let read: Set<Int>
  /// Storages of the inputs of layers and of the last layer's output.
  package let boundaries: Set<Int>
  /// The layer of each forward instruction: -1 before the first, the number of layers behind the last.
  package let layers: [Int]
  package let layerCount: Int

  package init(forward: [Instruction], backward: [Instruction], boundaries: [Tensor]) {
    self.forward = forward
    var producers: [Int: Int] = [:]
    for (index, instruction) in forward.enumerated() {
      for output in instruction.outputs { producers[output.tensor.storage] = index }
    }
    self.producers = producers
    read = Set(backward.flatMap { $0.inputs.map(\.storage) }.filter { producers[$0] != nil })
    self.boundaries = Set(boundaries.map(\.storage))
    // A boundary that forward did not compute (an input of the program) stands before everything.
    let starts = boundaries.map { producers[$0.storage] ?? -1 }
    layers = forward.indices.map { index in starts.count { $0 < index } - 1 }
    layerCount = max(0, boundaries.count - 1)
  }

  /// Storages that stay until backward has read them.
  func kept(under settings: RecomputationSettings) -> Set<Int> {
    var keeps = boundaries
    for (index, instruction) in forward.enumerated() {
      let stays: Bool
      switch settings {
      case .uniform(let policy): stays = policy.keeps(instruction)
      case .layers(let rules):
        let rule = rules.first { $0.layers.contains(layers[index]) && layers[index] < layerCount }
        stays = (rule?.policy ?? .none).keeps(instruction)
      case .repeating(let positions):
        // What backward never reads is not kept for the sake of an instruction that is repeated.
        stays =
          !positions.contains(index) && instruction.outputs.contains { read.contains($0.tensor.storage) }
      }
      if stays { keeps.formUnion(instruction.outputs.map(\.tensor.storage)) }
    }
    return keeps
  }

  /// Positions of the instructions that backward repeats when only `keeps` stays, and the storages of
  /// `keeps` that something reads then.
  func repeated(keeping keeps: Set<Int>) -> (instructions: Set<Int>, kept: Set<Int>) {
    var (instructions, kept): (Set<Int>, Set<Int>) = ([], [])
    var open = Array(read)
    while let storage = open.popLast() {
      guard let producer = producers[storage] else { continue }
      if keeps.contains(storage) {
        kept.insert(storage)
      } else if instructions.insert(producer).inserted {
        open += forward[producer].inputs.map(\.storage)
      }
    }
    return (instructions, kept)
  }
}

extension RecomputationPolicy {
  /// Whether the policy keeps the results of a forward instruction that are no layer's input.
  fileprivate func keeps(_ instruction: Instruction) -> Bool {
    switch self {
    case .none: true
    case .selective: !instruction.op.isCheap
    case .full: false
    }
  }
}

extension Op {
  /// Whether the operation reads and writes memory but multiplies no matrices: cheap to repeat.
  fileprivate var isCheap: Bool {
    switch self {
    case .layerNorm, .rmsNorm, .gelu, .swiglu: true
    default: false
    }
  }
}
