import ApusCore
import ApusModels
import ApusProgram

/// The matrix FLOPs that a recorded step does, beside the closed form 6 (N - positions) + 6 L w s a token
/// (causal, w = heads times head size; `ModelFLOPs`), with every difference named.
///
/// Counted for one sequence: a step does `sequences` times as much.
package struct FLOPsComparison: Hashable, Sendable {
  package let sequenceLength: Int
  /// Forward segment of one sequence.
  package let forward: Int
  /// Backward segment of one sequence; the fused head and loss, forward part included, opens it.
  package let backward: Int
  /// The closed form, of one token.
  package let formulaPerToken: Int
  /// FLOPs of one token each; they add up to counted minus closed form.
  package let deviationsPerToken: [Deviation]

  /// FLOPs of one sequence.
  package var counted: Int { forward + backward }
  package var formula: Int { formulaPerToken * sequenceLength }

  /// - Parameter sequence: a program of one sequence a micro-batch.
  init(_ model: ModelConfiguration, sequence program: StepProgram, sequenceLength s: Int) {
    sequenceLength = s
    forward = program.segment(.forward)?.cost.flops ?? 0
    backward = program.segment(.backward)?.cost.flops ?? 0
    let closed = ModelFLOPs(model, sequenceLength: s)
    let columns = closed.layerCount * closed.attentionWidth
    formulaPerToken = 6 * closed.countedParameters + 6 * columns * s
    let vectors = program.parameters.reduce(0) { $0 + ($1.isMatrix ? 0 : $1.tensor.count) }
    let lookedUp = model.tiedEmbeddings ? 0 : model.vocabularySize * model.hiddenSize
    deviationsPerToken = Deviation.list([
      ("attention computes its scores again in backward", columns * (s + 1)),
      ("a token sees itself: (s + 1) / 2 pairs, the formula has s / 2", 6 * columns),
      ("norm weights and biases multiply no matrix", -6 * vectors),
      ("the input embedding is looked up, not multiplied", -6 * lookedUp),
    ])
  }
}

extension MemoryEstimate {
  /// Counts the FLOPs of one sequence on one rank. A program is linear in its sequences, so that counts of the
  /// largest batches stay exact.
  package var flops: FLOPsComparison {
    var one = settings
    one.microBatchSize = 1
    one.evaluates = false
    one.layout = ParallelLayout()
    let sequence =
      settings.microBatchSize == 1 && settings.layout.worldSize == 1
      ? program : StepProgram.training(model, one)
    return FLOPsComparison(model, sequence: sequence, sequenceLength: settings.sequenceLength)
  }

  /// FLOPs of an optimizer step of `sequencesOfStep`, counted in the program.
  package func perStep(_ flopsPerSequence: Int) -> Double {
    Double(flopsPerSequence) * Double(sequencesOfStep)
  }
}
