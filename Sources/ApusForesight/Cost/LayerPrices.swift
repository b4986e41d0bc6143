import ApusModels
import ApusProgram

/// Prices of a model's parts on one rank, from programs of two and three layers: layers are periodic, so the
/// program of any depth costs what these two say (a test compares with the whole program).
package struct LayerPrices: Hashable, Sendable {
  package struct Pair: Hashable, Sendable {
    package var forward = Price()
    package var backward = Price()
  }

  /// What stands before the layers.
  package var opening = Pair()
  package var layer = Pair()
  /// Last norm, head and loss.
  package var ending = Pair()
  /// Bytes that a layer keeps from forward for backward.
  package var saved = SavedBytes()
  /// Of those, the layer's input: what full recomputation keeps.
  package var input = 0.0

  /// Records the rank's local program and prices it.
  package init(_ job: TrainingJob, _ constants: CostConstants) {
    let cost = InstructionCost(job, constants)
    var sums: [[[Price]]] = []
    var kept: [SavedBytes] = []
    for depth in [2, 3] {
      let program = Self.program(job, depth: depth)
      kept.append(SavedBytes(program, job))
      var parts = [[Price]](repeating: [Price](repeating: Price(), count: 2), count: 3)
      for (direction, kind) in [Segment.Kind.forward, .backward].enumerated() {
        for instruction in program.segment(kind)?.instructions ?? [] {
          parts[Self.part(of: instruction.label)][direction] += cost.price(instruction, program.storages)
        }
      }
      sums.append(parts)
    }
    saved = kept[1] - kept[0]
    input =
      Double(job.localTokens) * Double(job.model.hiddenSize) * job.numbers.activationBytes
      / Double(job.layout.sequenceParallel ? job.layout.tensor : 1)
    layer = Pair(forward: sums[1][1][0] - sums[0][1][0], backward: sums[1][1][1] - sums[0][1][1])
    // What the first or last layer has beyond the others (recomputation at the ends) counts with the ends.
    opening = Pair(
      forward: sums[0][0][0] + sums[0][1][0] - layer.forward * 2,
      backward: sums[0][0][1] + sums[0][1][1] - layer.backward * 2)
    ending = Pair(forward: sums[0][2][0], backward: sums[0][2][1])
  }

  /// Index of a label's part: 0 before the layers, 1 layers, 2 after them.
  private static func part(of label: String) -> Int {
    label.hasPrefix("layer ") ? 1 : label.hasPrefix("embeddings") ? 0 : 2
  }

  /// The program of one rank with its share of heads, columns and vocabulary.
  static func program(_ job: TrainingJob, depth: Int) -> StepProgram {
    let t = job.layout.tensor
    var local = job.model
    local.layerCount = depth
    local.headCount = max(1, local.headCount / t)
    local.keyValueHeadCount = max(1, local.keyValueHeadCount / t)
    while !local.headCount.isMultiple(of: local.keyValueHeadCount) { local.keyValueHeadCount -= 1 }
    local.intermediateSize = max(1, local.intermediateSize / t)
    local.vocabularySize = max(1, local.vocabularySize / t)
    let sequence = max(1, job.sequenceLength / job.layout.context)
    local.maximumSequenceLength = sequence
    return StepProgram.training(
      local,
      TrainingProgramSettings(microBatchSize: job.layout.microBatchSize, sequenceLength: sequence))
  }
}
