import ApusCore

/// In which order a byte budget gives up what forward keeps: the cheapest to compute again for each byte that
/// it frees first.
///
/// A rung is one instruction of a layer, in all layers. Its price is what the program gains by it: the FLOPs
/// and bytes of every instruction that backward repeats because of it, products that nobody saved included.
/// The order is greedy: each rung is the cheapest once the ones before are given up. Within a rung early
/// layers come first, for backward needs them last, when everything behind them is free again.
package struct RecomputationLadder {
  /// One kind of instruction of a layer.
  package struct Rung: Hashable, Sendable {
    /// `attention layer norm`: the part of the layer and the operation.
    package let name: String
    /// Positions in the recorded forward segment, one or more a layer, first layer first.
    package let instructions: [Int]
    /// Bytes that are no longer kept, all layers.
    package let freed: Int
    /// What backward repeats in addition, all layers.
    package let extra: Cost
    /// Bytes-equivalents of work for each byte freed.
    package let price: Double
  }

  package let rungs: [Rung]

  /// How many matrix FLOPs weigh as much as one byte that crosses memory: what a processor does of the one in
  /// the time of the other. Around 8 for the machines that Apus runs on; only the order depends on it.
  package static let flopsPerByte = 8.0

  package init(_ saved: SavedValues, storages: [Storage]) {
    struct Class: Hashable { var offset: Int, op: String }
    // Instructions at the same place of their layers are one class.
    var classes: [Class: [Int]] = [:]
    var starts: [Int: Int] = [:]
    for index in saved.forward.indices where (0..<saved.layerCount).contains(saved.layers[index]) {
      let start = starts[saved.layers[index], default: index]
      starts[saved.layers[index]] = start
      let instruction = saved.forward[index]
      guard instruction.outputs.contains(where: { saved.read.contains($0.tensor.storage) }),
        !instruction.outputs.contains(where: { saved.boundaries.contains($0.tensor.storage) })
      else { continue }
      classes[Class(offset: index - start, op: instruction.op.name), default: []].append(index)
    }
    func state(_ dropped: Set<Int>) -> (bytes: Int, cost: Cost) {
      let result = saved.repeated(keeping: saved.kept(under: .repeating(dropped)))
      return (
        result.kept.reduce(0) { $0 + storages[$1].byteCount },
        result.instructions.reduce(Cost.zero) { $0 + saved.forward[$1].cost }
      )
    }
    var (dropped, current, rungs): (Set<Int>, _, [Rung]) = ([], state([]), [])
    while !classes.isEmpty {
      let candidates = classes.compactMap { key, instructions -> (key: Class, rung: Rung)? in
        let next = state(dropped.union(instructions))
        let freed = current.bytes - next.bytes
        guard freed > 0 else { return nil }
        let extra = Cost(
          flops: next.cost.flops - current.cost.flops, bytes: next.cost.bytes - current.cost.bytes)
        let work = Double(extra.flops) / Self.flopsPerByte + Double(extra.bytes)
        let first = saved.forward[instructions[0]]
        return (
          key,
          Rung(
            name: Self.name(first), instructions: instructions, freed: freed, extra: extra,
            price: work / Double(freed))
        )
      }
      let cheapest = candidates.min {
        ($0.rung.price, $0.key.offset) < ($1.rung.price, $1.key.offset)
      }
      guard let cheapest else { break }
      classes[cheapest.key] = nil
      dropped.formUnion(cheapest.rung.instructions)
      current = state(dropped)
      rungs.append(cheapest.rung)
    }
    self.rungs = rungs
  }

  /// The instructions of the first rungs, of the last of them only in its first `layersOfLast` layers.
  package func positions(rungs count: Int, layersOfLast: Int) -> Set<Int> {
    var positions: Set<Int> = []
    for (index, rung) in rungs.prefix(count).enumerated() {
      positions.formUnion(rung.instructions.prefix(index == count - 1 ? layersOfLast : Int.max))
    }
    return positions
  }

  /// The label without the layer's number, and the operation.
  private static func name(_ instruction: Instruction) -> String {
    let words = instruction.label.split(separator: " ")
    let part = words.count > 2 && Int(words[1]) != nil ? words.dropFirst(2).joined(separator: " ") : ""
    return part.isEmpty ? instruction.op.name : "\(part) \(instruction.op.name)"
  }
}
