import ApusCore

/// Rewrites a recorded step so that backward computes again what the policy did not keep.
///
/// For everything that a backward instruction reads and nothing keeps, its producer is emitted again before
/// the first reader, together with the producers of what that one reads. Nothing is computed again that
/// backward does not read, so a layer's last product is never repeated: the published "one more forward pass"
/// is an upper bound. The repeated instructions run the same kernels on the same numbers, so gradients are
/// bit-identical. Parameters gathered from other ranks are never kept.
package struct Recomputation {
  private var recorder: StepRecorder
  private let producers: [Int: Instruction]
  private let keeps: Set<Int>
  /// Storage of the forward pass to the storage that holds its value in backward.
  private var again: [Int: Int] = [:]

  /// Gives the segments with `settings` applied.
  ///
  /// - Parameter boundaries: the inputs of layers and the last layer's output, which are always kept.
  package static func apply(
    _ settings: RecomputationSettings, forward: [Instruction], backward: [Instruction], boundaries: [Tensor],
    in recorder: inout StepRecorder
  ) -> (forward: [Instruction], backward: [Instruction]) {
    let gathersAgain = forward.contains { $0.op.isGatheredAgain(recorder.communication) }
    guard settings != .none || gathersAgain else { return (forward, backward) }
    let saved = SavedValues(forward: forward, backward: backward, boundaries: boundaries)
    let gathered = forward.filter { $0.op.isGatheredAgain(recorder.communication) }
      .flatMap { $0.outputs.map(\.tensor.storage) }
    var pass = Recomputation(
      recorder: recorder, producers: saved.producers.mapValues { forward[$0] },
      keeps: saved.kept(under: settings).subtracting(gathered))
    let written = Set(backward.flatMap { $0.outputs.map(\.tensor.storage) })
    for instruction in backward { pass.emit(instruction, writtenInBackward: written) }
    recorder = pass.recorder
    let rewritten = recorder.takeInstructions()
    return (Self.live(forward, readBy: rewritten), rewritten)
  }

  private mutating func emit(_ instruction: Instruction, writtenInBackward: Set<Int>) {
    var rewritten = instruction
    for (index, input) in instruction.inputs.enumerated() where !writtenInBackward.contains(input.storage) {
      rewritten.inputs[index].storage = value(of: input.storage)
    }
    recorder.append(rewritten)
  }

  /// The storage that holds the value of a forward storage in backward: itself where it is kept or no
  /// instruction of forward made it, otherwise that of its repeated producer.
  private mutating func value(of storage: Int) -> Int {
    guard let producer = producers[storage], !keeps.contains(storage) else { return storage }
    if let present = again[storage] { return present }
    var repeated = producer
    for (index, input) in producer.inputs.enumerated() {
      repeated.inputs[index].storage = value(of: input.storage)
    }
    for (index, output) in producer.outputs.enumerated() {
      let original = recorder.storages[output.tensor.storage]
      let fresh = recorder.tensor(
        "\(original.name), again", original.role,
        Signature(like: output.tensor))
      again[output.tensor.storage] = fresh.storage
      repeated.outputs[index].tensor.storage = fresh.storage
    }
    recorder.append(repeated)
    return again[storage] ?? storage
  }

  /// The instructions of `forward` whose results something reads, in `forward` itself or in `backward`, and those that
  /// hand something to another rank.
  private static func live(_ forward: [Instruction], readBy backward: [Instruction]) -> [Instruction] {
    var read = Set(backward.flatMap { $0.inputs.map(\.storage) })
    var kept: [Instruction] = []
    for instruction in forward.reversed()
    where instruction.outputs.isEmpty
      || instruction.outputs.contains(where: { read.contains($0.tensor.storage) })
    {
      read.formUnion(instruction.inputs.map(\.storage))
      kept.append(instruction)
    }
    return kept.reversed()
  }
}

extension Op {
  /// Whether backward repeats the collective instead of keeping its result: always where parameters or keys and
  /// values are gathered, by policy where the inputs of matrices are.
  fileprivate func isGatheredAgain(_ policy: CommunicationPolicy) -> Bool {
    // What is gathered along the context axis is n times a rank's own keys and values, and the slice that is
    // gathered a copy of a part of the product.
    if case .columnSlice = self { return true }
    guard case .move(let move) = self, move.collective == .allGather else { return false }
    return move.axis == .shard || move.axis == .context || !policy.keepsGatheredInputs
  }
}
