/// Products whose bias can move into the GELU behind them: nothing but GELU reads the product, and in backward
/// nothing but GELU's gradient, which the sum of the bias's gradient follows.
struct FusableBias {
  /// The bias of each product's result, by storage.
  private var biases: [Int: Tensor] = [:]

  /// - Parameter storages: the program's. A bias inside a unit that was gathered for forward stays where it is:
  ///   backward would have to keep the unit.
  init(_ groups: [[Segment]], storages: [Storage]) {
    let segments = groups.flatMap { $0 }
    for instruction in segments.flatMap(\.instructions) {
      guard case .linear = instruction.op, instruction.inputs.count > 2,
        storages[instruction.inputs[2].storage].role.isPersistent
      else { continue }
      biases[instruction.outputs[0].tensor.storage] = instruction.inputs[2]
    }
    var hasReader: Set<Int> = []
    for segment in segments {
      for (index, instruction) in segment.instructions.enumerated() {
        for (position, input) in instruction.inputs.enumerated() where biases[input.storage] != nil {
          hasReader.insert(input.storage)
          switch (instruction.op, position) {
          case (.gelu, 0): break
          case (.geluGradient, 1) where Self.sumFollows(index, in: segment.instructions): break
          default: biases[input.storage] = nil
          }
        }
      }
    }
    biases = biases.filter { hasReader.contains($0.key) }
  }

  /// Whether GELU's gradient at `index` overwrites, and the next instruction sums what it writes over its rows.
  private static func sumFollows(_ index: Int, in instructions: [Instruction]) -> Bool {
    guard index + 1 < instructions.count, case .columnSum = instructions[index + 1].op else { return false }
    let gradient = instructions[index].outputs[0]
    return gradient.mode == .overwrite && instructions[index + 1].inputs[0] == gradient.tensor
  }

  /// The instructions of a segment with these biases moved.
  func rewrite(_ instructions: [Instruction]) -> [Instruction] {
    var rewritten: [Instruction] = []
    var index = 0
    while index < instructions.count {
      var instruction = instructions[index]
      switch instruction.op {
      case .linear where biases[instruction.outputs[0].tensor.storage] != nil:
        instruction.inputs.removeLast()
      case .gelu:
        if let bias = biases[instruction.inputs[0].storage] {
          instruction.op = .biasGELU(BiasGELU())
          instruction.inputs.append(bias)
        }
      case .geluGradient:
        if let bias = biases[instruction.inputs[1].storage] {
          instruction.op = .biasGELUGradient(BiasGELUGradient())
          instruction.inputs.append(bias)
          index += 1
          instruction.outputs += instructions[index].outputs
        }
      default: break
      }
      rewritten.append(instruction)
      index += 1
    }
    return rewritten
  }
}
